"""One connection to PostgreSQL, named statements, and the guarded merge that serves every table.

Rows are COPYed to a temporary table and merged by key; a row is written only where it differs, so that
loading the same rows again changes nothing. Table and column names come from `tables` only.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, LiteralString, cast
from urllib.parse import unquote, urlsplit

import psycopg2
import psycopg2.extras
from psycopg2 import sql

from apex_pipeline.errors import ConfigError, StorageError
from apex_pipeline.store.connection import connect, reason, where
from apex_pipeline.store.copy_text import copy_text, to_json
from apex_pipeline.store.merging import (
    change_statement,
    keep_older_statement,
    merge_from_statement,
    merge_raw_statement,
    merge_statement,
    removal_statement,
)
from apex_pipeline.store.tables import Table, table_named

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did, in rows."""

    inserted: int
    updated: int
    deleted: int = 0

    @property
    def changed(self) -> int:
        return self.inserted + self.updated + self.deleted

    def __add__(self, other: "Merged") -> "Merged":
        return Merged(self.inserted + other.inserted, self.updated + other.updated, self.deleted + other.deleted)


@dataclass(frozen=True, slots=True)
class RawMerged:
    """What a raw merge did: versions that became current, records already known, versions that came too late."""

    new_versions: int
    unchanged: int
    superseded: int

    @property
    def told(self) -> int:
        """All records, whatever became of them."""
        return self.new_versions + self.unchanged + self.superseded

    def __add__(self, other: "RawMerged") -> "RawMerged":
        return RawMerged(
            self.new_versions + other.new_versions,
            self.unchanged + other.unchanged,
            self.superseded + other.superseded,
        )


@cache
def statement(name: str) -> LiteralString:
    """The text of `store/sql/<name>.sql`; a literal of the package, never built from input."""
    return cast("LiteralString", files("apex_pipeline.store").joinpath("sql", f"{name}.sql").read_text("utf-8"))


def database_name(url: str) -> str:
    """The database a URL names; libpq's own default is not relied on."""
    name = unquote(urlsplit(url).path.lstrip("/"))
    if not name:
        raise ConfigError("APEX_DATABASE_URL names no database: end it with /apex, for example")
    return name


class Database:
    """A PostgreSQL connection, opened when first used and usable by one thread at a time.

    Raises StorageError when the server cannot be reached, ConfigError when the URL is not one.
    """

    def __init__(self, url: str) -> None:
        if not url.startswith(("postgresql://", "postgres://")):
            raise ConfigError(
                "APEX_DATABASE_URL must begin with postgresql:// (unset it to use the embedded PostgreSQL)"
            )
        self.url = url
        self._connection: psycopg2.extensions.connection | None = None
        self._rehearsing = False
        self._turn = threading.RLock()

    def connect(self) -> None:
        """Open the connection now instead of at first use."""
        with self._turn:
            self._live()

    def close(self) -> None:
        """Close the connection; it opens again when used."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _live(self) -> psycopg2.extensions.connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.url)
        return self._connection

    @contextmanager
    def transaction(self) -> Generator["Transaction"]:
        """A transaction that commits at the end of the block and rolls back on any error; or a part of a rehearsal."""
        with self._turn:
            connection = self._live()
            scope = _part_of(connection) if self._rehearsing else connection
            try:
                with scope, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                    yield Transaction(cursor)
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                self.close()
                raise StorageError(f"the database {where(self.url)} was lost: {reason(error)}") from error

    @contextmanager
    def sealed(self) -> Generator["Transaction"]:
        """As `transaction`, for a stage that writes tables which only stages write: it seals the account-days it wrote.

        What is written otherwise breaks the seal of its account-day, which a check tells.
        """
        with self.transaction() as tx:
            tx.execute("seals_begin")
            yield tx
            tx.execute("seals_end")

    @contextmanager
    def rehearsal(self, *locks: str) -> Generator[None]:
        """Whatever transactions do within the block is rolled back at its end; they see what those before them did.

        `locks` are held throughout: what a stage wrote within stays locked after the stage gave its own lock back, and
        who takes that lock then would wait for the rows, while a later stage of the block waits for the lock.
        """
        with self._turn, ExitStack() as stack:
            for name in locks:
                stack.enter_context(self.lock(name))
            connection = self._live()
            self._rehearsing = True
            try:
                yield
            finally:
                self._rehearsing = False
                if not connection.closed:
                    connection.rollback()

    @contextmanager
    def autocommit(self) -> Generator[psycopg2.extensions.cursor]:
        """A cursor outside any transaction, for the few statements that need it."""
        with self._turn:
            connection = self._live()
            connection.autocommit = True
            try:
                with connection.cursor() as cursor:
                    yield cursor
            finally:
                connection.autocommit = False

    def fetch(self, name: str, /, **params: Any) -> list[Row]:
        """All rows of a named statement, in a transaction of its own."""
        with self.transaction() as tx:
            return tx.fetch(name, **params)

    def fetchrow(self, name: str, /, **params: Any) -> Row | None:
        """The first row of a named statement, or None."""
        rows = self.fetch(name, **params)
        return rows[0] if rows else None

    def fetchval(self, name: str, /, **params: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.fetchrow(name, **params)
        return next(iter(row.values())) if row else None

    def execute(self, name: str, /, **params: Any) -> int:
        """Run a named statement in a transaction of its own; returns the rows it touched."""
        with self.transaction() as tx:
            return tx.execute(name, **params)

    @contextmanager
    def lock(self, name: str, on_wait: Callable[[], None] = lambda: None) -> Generator[None]:
        """Hold a session-level advisory lock by name; released also when this process dies.

        `on_wait` is called once if another process holds the lock.
        """
        with self._turn:
            if not self.fetchval("lock_try", name=name):
                on_wait()
                self.fetchval("lock_wait", name=name)
        try:
            yield
        finally:
            with self._turn:
                if self._connection is not None and not self._connection.closed:
                    self.fetchval("lock_release", name=name)


class Transaction:
    """The statements of one transaction."""

    def __init__(self, cursor: psycopg2.extras.RealDictCursor) -> None:
        self._cursor = cursor

    def fetch(self, name: str, /, **params: Any) -> list[Row]:
        """All rows of a named statement."""
        self._cursor.execute(statement(name), _adapted(params))
        return [dict(row) for row in self._cursor.fetchall()]

    def execute(self, name: str, /, **params: Any) -> int:
        """Run a named statement; returns the rows it touched."""
        self._cursor.execute(statement(name), _adapted(params))
        return self._cursor.rowcount

    def find(self, table: Table, where: Mapping[str, Any], most: int) -> list[Row]:
        """Rows of a table whose columns hold these values, in the order of its key."""
        conditions = [sql.SQL("{} = %s").format(sql.Identifier(column)) for column in where]
        self._cursor.execute(
            sql.SQL("SELECT * FROM {} WHERE {} ORDER BY {} LIMIT %s").format(
                sql.Identifier(table.name),
                sql.SQL(" AND ").join(conditions),
                sql.SQL(", ").join(map(sql.Identifier, table.key)),
            ),
            (*where.values(), most),
        )
        return [dict(row) for row in self._cursor.fetchall()]

    def count_by_day(self, table: str, column: str, first: date, last: date) -> dict[date, int]:
        """Rows of a table per day of a date column, inclusive."""
        self._cursor.execute(
            sql.SQL("SELECT {0} AS day, count(*) AS rows FROM {1} WHERE {0} BETWEEN %s AND %s GROUP BY 1").format(
                sql.Identifier(column), sql.Identifier(table)
            ),
            (first, last),
        )
        return {row["day"]: row["rows"] for row in self._cursor.fetchall()}

    def analyze_changed(self, tables: Iterable[str]) -> None:
        """Make new statistics of those tables that grew or shrank by more than a tenth, as autovacuum will much later.

        What follows in a transaction that fills a table is planned as if the table were still empty, which can cost
        minutes where milliseconds are enough. Until the transaction ends nobody else can do the same to that table.
        """
        for row in self.fetch("statistics_due", tables=sorted(tables)):
            self._cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(row["name"])))

    def run_script(self, text: str) -> None:
        """Run a migration file."""
        self._cursor.execute(text)

    def stage(self, table: Table, rows: Iterable[Mapping[str, Any]]) -> int:
        """COPY rows to the temporary table `staged`, shaped as `table`; returns their number. None make no table."""
        buffer, count = copy_text(table.columns, rows)
        if not count:
            return 0
        self._cursor.execute("DROP TABLE IF EXISTS staged")
        columns = [sql.Identifier(column) for column in table.columns]
        self._cursor.execute(
            sql.SQL("CREATE TEMPORARY TABLE staged ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                sql.SQL(", ").join(columns), sql.Identifier(table.name)
            )
        )
        self._cursor.copy_expert("COPY staged FROM STDIN", buffer)
        return count

    def merge(self, table: Table, rows: Iterable[Mapping[str, Any]]) -> Merged:
        """Insert what is new and update what differs; an equal row is not written."""
        return self._merge_staged(table) if self.stage(table, rows) else Merged(0, 0)

    def copy(self, table: Table, target: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """COPY rows to a table of this transaction that is shaped as `table`; returns their number."""
        buffer, count = copy_text(table.columns, rows)
        columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        if count:
            self._cursor.copy_expert(sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(target), columns), buffer)
        return count

    def merge_from(self, table: Table, source: str) -> Merged:
        """As `merge`, of the rows of a table of this transaction, in which each key stands once."""
        return self._merged(merge_from_statement(table, source))

    def _merge_staged(self, table: Table) -> Merged:
        return self._merged(merge_statement(table))

    def _merged(self, merge: sql.Composed) -> Merged:
        self._cursor.execute(merge)
        counts = self._cursor.fetchone() or {"inserted": 0, "updated": 0}
        return Merged(counts["inserted"], counts["updated"])

    def change(self, proposal: Mapping[str, Any]) -> int:
        """Insert, update or delete a row by its key, as a proposal tells it in JSON; returns the rows it touched."""
        table = table_named(proposal["table"])
        row, key = dict(proposal.get("row", {})), dict(proposal.get("key", {}))
        given = {"row": to_json({**key, **row}), "key": to_json(key)}
        self._cursor.execute(change_statement(table, proposal["do"], tuple(row), tuple(key)), given)
        return self._cursor.rowcount

    def replace_days(
        self, table: Table, rows: Iterable[Mapping[str, Any]], broker: str, days: Sequence[tuple[str, date]]
    ) -> Merged:
        """Make these the only rows of an account-day of `table`, which names broker, account_id and business_date."""
        staged = self.stage(table, rows)
        accounts, dates = [account for account, _ in days], [day for _, day in days]
        removal = removal_statement(table, all_rows=not staged)
        self._cursor.execute(removal, {"broker": broker, "accounts": accounts, "dates": dates})
        removed = self._cursor.rowcount
        return self._merge_staged(table) + Merged(0, 0, removed) if staged else Merged(0, 0, removed)

    def add(self, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert rows whose key is not there yet."""
        if self.stage(table, rows):
            columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
            self._cursor.execute(
                sql.SQL("INSERT INTO {0} ({1}) SELECT {1} FROM staged ORDER BY {1} ON CONFLICT DO NOTHING").format(
                    sql.Identifier(table.name), columns
                )
            )

    def merge_raw(self, table: Table, rows: Iterable[Mapping[str, Any]], broker: str, load_id: int) -> RawMerged:
        """Append versions: newer or different records replace the current one, older ones join the history.

        The days of changed records become dirty for normalization in the same transaction.
        """
        staged = self.stage(table, rows)
        self._cursor.execute(keep_older_statement(table))
        superseded = self._cursor.rowcount
        self._cursor.execute(merge_raw_statement(table), {"broker": broker, "load_id": load_id})
        new = next(iter((self._cursor.fetchone() or {"changed": 0}).values()))
        return RawMerged(new, staged - superseded - new, superseded)


@contextmanager
def _part_of(connection: psycopg2.extensions.connection) -> Generator[None]:
    """A transaction within the open one; its temporary tables go with it."""
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            cursor.execute("ROLLBACK TO SAVEPOINT part")
            raise
        cursor.execute(statement("temporary_tables_drop"))
        cursor.execute("RELEASE SAVEPOINT part")


def _adapted(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: to_json(value) if isinstance(value, dict) else value for name, value in params.items()}
