"""Copies whole databases to another server: all of it or nothing, and proven before it is kept.

Here: what a copy is made of (the schema as pg_dump tells it, rows by COPY, where sequences stand) and its proof. Not
here: which databases, and what is told to a person (`cli/move`).

A source is read in one snapshot, its tables locked against writers. A target is written in one transaction, indexes
and proof included, and committed when all targets are proven: a process that is killed before leaves them empty. psql
is not used for it, because where its input breaks off it commits what it has.
"""

import os
import subprocess
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import monotonic, sleep
from typing import IO, Any, LiteralString, cast
from uuid import uuid4

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection, make_dsn, parse_dsn

from apex_pipeline.errors import ConfigError, StorageError
from apex_pipeline.settings import sibling_database
from apex_pipeline.store.connection import reason, where
from apex_pipeline.store.create import MAINTENANCE_DATABASE
from apex_pipeline.store.db import Database, database_name
from apex_pipeline.store.embedded_runtime import find_install
from apex_pipeline.store.migrate import MINIMUM_SERVER
from apex_pipeline.store.transaction import Row, Transaction

Observe = Callable[[str, int, int], None]
"""Told what is done now, how many steps are done, and of how many."""

LOCK = "apex:move"
OTHERS_SECONDS = 10.0
"""How long sessions may take to end: those of a program that was killed notice it a little later."""
TABLES, SEQUENCES = "r", "S"
SOME = 3
"""What an error names of many."""
CHUNK = 2**16
SCHEMA_ONLY = (
    "--schema-only", "--no-owner", "--no-privileges", "--no-tablespaces", "--no-publications", "--no-subscriptions",
    "--no-security-labels", "--no-password", "--lock-wait-timeout=60s",
)  # fmt: skip
NOT_SQL, SINCE_17 = "\\", "SET transaction_timeout ="
"""How lines of pg_dump begin that are meant for psql, and that servers before 17 do not know."""
FIGURES = (
    "SELECT count(*) AS rows, coalesce(sum(('x' || left(md5(t::text), 16))::bit(64)::bigint), 0) AS total FROM {} AS t"
)
"""The rows of a table as one sum that does not depend on their order."""

Proof = Mapping[str, str]
"""What two equal databases tell alike: each part of the schema, the rows of each table, where each sequence stands."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of one database. `was_there`: the target held an equal copy already, from a move that was killed."""

    name: str
    tables: int
    rows: int
    was_there: bool


@dataclass(frozen=True, slots=True)
class Side:
    """One database, in the transaction in which it is read or written."""

    url: str
    connection: connection
    tx: Transaction

    def relations(self, kind: str) -> list[Row]:
        return [row for row in self.tx.fetch("moving_relations") if row["kind"] == kind]


def _silent(_what: str, _done: int, _total: int) -> None:
    """Nobody looks."""


def move(pairs: Sequence[tuple[str, str]], observe: Observe = _silent) -> list[Moved]:
    """Copy databases, each from its first URL to its second one, and commit them together, the last one first.

    A target that holds an equal copy is left as it is, so that a move which was killed can be repeated. ConfigError for
    a source or target that cannot be one, StorageError where something stood in the way: nothing was changed then.
    """
    with ExitStack() as stack:
        return [stack.enter_context(_copied(source, target, observe)) for source, target in pairs]


def is_there(url: str) -> bool:
    """Whether the database of this URL exists; yes where the server does not let us look."""
    with Database(sibling_database(url, MAINTENANCE_DATABASE)) as server:
        try:
            return bool(server.fetchval("databases_named", name=database_name(url)))
        except StorageError:
            return True


@contextmanager
def _copied(source_url: str, target_url: str, observe: Observe) -> Generator[Moved]:
    """One database copied and proven; committed when the block ends well."""
    with ExitStack() as stack:
        source, target = (stack.enter_context(Database(url)) for url in (source_url, target_url))
        reading, writing = (stack.enter_context(database.acquire()) for database in (source, target))
        _require_another(source, target)
        for database in (source, target):
            _lock(database)
        _require_alone(source)
        tables = [_named(row) for row in source.fetch("moving_relations") if row["kind"] == TABLES]
        if not tables:
            raise ConfigError(f"{where(source_url)} holds no tables: there is nothing to move")
        out = Side(source_url, reading, stack.enter_context(source.transaction()))
        into = Side(target_url, writing, stack.enter_context(target.transaction()))
        with _told(source_url):
            _hold(out, tables)
        _require_fit(out, into)
        is_empty = not into.tx.fetch("moving_relations")
        if is_empty:
            _copy(out, into, observe)
        yield _proven(out, into, is_new=is_empty, observe=observe)


def _require_another(source: Database, target: Database) -> None:
    """ConfigError where both are the same database, by whatever address: it then knows the lock already."""
    name = f"{LOCK}:{uuid4().hex}"
    with source.lock(name):
        if not target.fetchval("lock_try", name=name):
            raise ConfigError(f"{where(target.url)} is where the data is already: name another server or database")
        target.fetchval("lock_release", name=name)


def _lock(database: Database) -> None:
    """Keep other moves away, until the connection is given back; StorageError where one runs."""
    deadline = monotonic() + OTHERS_SECONDS
    while not database.fetchval("lock_try", name=LOCK):
        if monotonic() > deadline:
            raise StorageError(f"another move of {where(database.url)} is running: try again when it is done")
        sleep(0.2)


def _require_alone(source: Database) -> None:
    """StorageError while others use the source: what they write later would be missing in the copy."""
    deadline = monotonic() + OTHERS_SECONDS
    while others := source.fetch("moving_others"):
        if monotonic() > deadline:
            some = ", ".join(f"{row['program']} (process {row['pid']} of the server)" for row in others[:SOME])
            raise StorageError(
                f"{len(others)} other sessions use {where(source.url)}: {some}; "
                "stop `apex up`, engines and open psql, then try again; nothing was changed"
            )
        sleep(0.2)


def _hold(out: Side, tables: Sequence[sql.Identifier]) -> None:
    """From here on the source stays as it is, and is read as it is now."""
    out.tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    out.tx.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.SQL(", ").join(tables)))


def _require_fit(out: Side, into: Side) -> None:
    for side in (out, into):
        side.tx.execute("moving_session")
    source, target = (side.tx.fetch("moving_server")[0] for side in (out, into))
    if source["has_timescale"]:
        raise ConfigError(
            f"{where(out.url)} uses TimescaleDB, whose chunks only its own tools move: "
            "see docs/database.md; nothing was changed"
        )
    if target["number"] < MINIMUM_SERVER:
        raise ConfigError(
            f"{where(into.url)} is PostgreSQL {target['number'] // 10000}, which is too old: 15 or newer is needed"
        )
    if target["encoding"] != source["encoding"]:
        raise ConfigError(
            f"{where(into.url)} has the encoding {target['encoding']} and {where(out.url)} has {source['encoding']}: "
            f"drop it, then `CREATE DATABASE {database_name(into.url)} ENCODING '{source['encoding']}' "
            "LOCALE 'C' TEMPLATE template0`; nothing was changed"
        )


def _copy(out: Side, into: Side, observe: Observe) -> None:
    """The schema, its rows, where sequences stand, then what is made over rows: indexes, constraints, triggers."""
    tables, name = out.relations(TABLES), database_name(out.url)
    steps = len(tables) + 2
    _run(into, schema_sql(out.url, "pre-data"))
    with ThreadPoolExecutor(1) as sender:
        for done, table in enumerate(tables):
            observe(f"copying {name}: {table['name']}", done, steps)
            copy_rows(out, into, table, sender)
    with _told(into.url):
        for row in out.relations(SEQUENCES):
            stands = out.tx.fetchrow(sql.SQL("SELECT last_value, is_called FROM {}").format(_named(row))) or {}
            into.tx.execute(
                sql.SQL("SELECT setval({}::regclass, %s, %s)").format(
                    sql.Literal(_named(row).as_string(into.connection))
                ),
                *stands.values(),
            )
    observe(f"copying {name}: indexes and constraints", len(tables), steps)
    _run(into, schema_sql(out.url, "post-data"))
    observe(f"copying {name}: statistics", len(tables) + 1, steps)
    with _told(into.url):
        into.tx.execute(sql.SQL("ANALYZE {}").format(sql.SQL(", ").join(map(_named, tables))))


def copy_rows(out: Side, into: Side, table: Row, sender: ThreadPoolExecutor) -> None:
    """All rows of a table, from one server to the other as they come; nothing of them is kept here."""
    columns = sql.SQL(", ").join(map(sql.Identifier, table["columns"]))
    what = sql.SQL("COPY {} ({})").format(_named(table), columns)
    receiving, sending = os.pipe()
    with os.fdopen(receiving, "rb") as pipe:
        sent = sender.submit(send, out, what + sql.SQL(" TO STDOUT"), sending)
        with _told(into.url), into.connection.cursor() as cursor:
            cursor.copy_expert(what + sql.SQL(" FROM STDIN"), pipe, CHUNK)
    sent.result()  # a sender that failed ends the rows early: they must not count as all


def send(out: Side, what: sql.Composed, sending: int) -> None:
    """Write what a COPY tells into a pipe, and close it."""
    with os.fdopen(sending, "wb", CHUNK) as pipe, _told(out.url), out.connection.cursor() as cursor:
        cursor.copy_expert(what, cast("IO[Any]", pipe), CHUNK)


def _proven(out: Side, into: Side, *, is_new: bool, observe: Observe) -> Moved:
    """What was copied, once both sides tell the same; else StorageError, or ConfigError for a target that was full."""
    name = database_name(out.url)
    observe(f"comparing {name}", 0, 0)
    expected, actual = _proof(out), _proof(into)
    differing = sorted(part for part in {*expected, *actual} if expected.get(part) != actual.get(part))
    if differing and is_new:
        some = "; ".join(differing[:SOME])
        raise StorageError(f"the copy of {name} differs in {len(differing)} things ({some}): nothing was changed")
    if differing:
        raise ConfigError(
            f"{where(into.url)} holds tables already, and not those of {where(out.url)}: "
            "drop it or name an empty database; nothing was changed"
        )
    counts = [int(told.split()[0]) for part, told in actual.items() if part.startswith("rows of ")]
    return Moved(name, len(counts), sum(counts), was_there=not is_new)


def _proof(side: Side) -> Proof:
    told = {row["object"]: "" for row in side.tx.fetch("moving_objects")}
    for row in side.relations(TABLES):
        figures = side.tx.fetch(sql.SQL(FIGURES).format(_named(row)))[0]
        told[f"rows of {row['schema']}.{row['name']}"] = "{rows} {total}".format(**figures)
    for row in side.relations(SEQUENCES):
        stands = side.tx.fetch(sql.SQL("SELECT last_value, is_called FROM {}").format(_named(row)))[0]
        told[f"sequence {row['schema']}.{row['name']}"] = "{last_value} {is_called}".format(**stands)
    return told


def _named(row: Row) -> sql.Identifier:
    return sql.Identifier(row["schema"], row["name"])


def _run(side: Side, script: str) -> None:
    with _told(side.url):
        side.tx.run_script(script)


def schema_sql(url: str, section: LiteralString) -> str:
    """One section of the schema as SQL that PostgreSQL 15 and newer understand."""
    told = parse_dsn(url)
    password = told.pop("password", None)
    if told.pop("sslpassword", None):
        raise ConfigError("a key with sslpassword cannot be given to pg_dump unseen: use one without")
    command = [str(find_install() / "bin" / "pg_dump"), *SCHEMA_ONLY, f"--section={section}"]
    ended = subprocess.run(  # noqa: S603 - our own program; what a password opens is not told in its arguments
        [*command, f"--dbname={make_dsn(**told)}"],
        env={**os.environ, **({"PGPASSWORD": password} if password else {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if ended.returncode != 0:
        said = ended.stderr.strip().splitlines() or ["no reason given"]
        raise StorageError(f"pg_dump cannot read {where(url)}: {said[0]}; nothing was changed")
    lines = ended.stdout.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith((NOT_SQL, SINCE_17)))


@contextmanager
def _told(url: str) -> Generator[None]:
    """What a server refuses, in one line."""
    try:
        yield
    except psycopg2.Error as error:
        raise StorageError(f"{where(url)} refused: {reason(error)}; nothing was changed") from error
