"""One connection to PostgreSQL, named statements, and the guarded merge that serves every table.

Rows are COPYed to a temporary table and merged by key; a row is written only where it differs, so that
loading the same rows again changes nothing. Table and column names come from `tables` only.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
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
from apex_pipeline.store.tables import Table

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
        """A transaction that commits at the end of the block and rolls back on any error."""
        with self._turn:
            connection = self._live()
            try:
                with connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                    yield Transaction(cursor)
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                self.close()
                raise StorageError(f"the database {where(self.url)} was lost: {reason(error)}") from error

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

    def count_by_day(self, table: str, column: str, first: date, last: date) -> dict[date, int]:
        """Rows of a table per day of a date column, inclusive."""
        self._cursor.execute(
            sql.SQL("SELECT {0} AS day, count(*) AS rows FROM {1} WHERE {0} BETWEEN %s AND %s GROUP BY 1").format(
                sql.Identifier(column), sql.Identifier(table)
            ),
            (first, last),
        )
        return {row["day"]: row["rows"] for row in self._cursor.fetchall()}

    def run_script(self, text: str) -> None:
        """Run a migration file."""
        self._cursor.execute(text)

    def stage(self, table: Table, rows: Iterable[Mapping[str, Any]]) -> int:
        """COPY rows to the temporary table `staged`, shaped as `table`; returns their number."""
        self._cursor.execute("DROP TABLE IF EXISTS staged")
        columns = [sql.Identifier(column) for column in table.columns]
        self._cursor.execute(
            sql.SQL("CREATE TEMPORARY TABLE staged ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                sql.SQL(", ").join(columns), sql.Identifier(table.name)
            )
        )
        buffer, count = copy_text(table.columns, rows)
        self._cursor.copy_expert("COPY staged FROM STDIN", buffer)
        return count

    def merge(self, table: Table, rows: Iterable[Mapping[str, Any]]) -> Merged:
        """Insert what is new and update what differs; an equal row is not written."""
        return self._merge_staged(table) if self.stage(table, rows) else Merged(0, 0)

    def _merge_staged(self, table: Table) -> Merged:
        self._cursor.execute(_merge_statement(table))
        outcome = [dict(row) for row in self._cursor.fetchall()]
        inserted = sum(1 for row in outcome if row["inserted"])
        return Merged(inserted, len(outcome) - inserted)

    def replace_days(
        self, table: Table, rows: Iterable[Mapping[str, Any]], broker: str, days: Sequence[tuple[str, date]]
    ) -> Merged:
        """Make these the only rows of an account-day of `table`, which names broker, account_id and business_date."""
        staged = self.stage(table, rows)
        self._cursor.execute(
            sql.SQL(
                "DELETE FROM {name} t "
                "USING unnest(%(accounts)s::text[], %(dates)s::date[]) AS day (account_id, on_date) "
                "WHERE t.broker = %(broker)s AND t.account_id = day.account_id AND t.business_date = day.on_date "
                "AND NOT EXISTS (SELECT FROM staged s WHERE ({same}))"
            ).format(
                name=sql.Identifier(table.name),
                same=sql.SQL(" AND ").join(sql.SQL("s.{0} = t.{0}").format(sql.Identifier(key)) for key in table.key),
            ),
            {"broker": broker, "accounts": [account for account, _ in days], "dates": [day for _, day in days]},
        )
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
        self._cursor.execute(_keep_older_statement(table))
        superseded = self._cursor.rowcount
        self._cursor.execute(_merge_raw_statement(table), {"broker": broker, "load_id": load_id})
        new = next(iter((self._cursor.fetchone() or {"changed": 0}).values()))
        return RawMerged(new, staged - superseded - new, superseded)


def _adapted(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: to_json(value) if isinstance(value, dict) else value for name, value in params.items()}


def _merged_value(table: Table, column: str) -> sql.SQL:
    if column in table.keep_first:
        return sql.SQL("{t}.{c}")
    return sql.SQL("COALESCE(EXCLUDED.{c}, {t}.{c})" if column in table.keep_known else "EXCLUDED.{c}")


@cache
def _keep_older_statement(table: Table) -> sql.Composed:
    """Records that differ from a version the broker wrote later go straight to the history."""
    return sql.SQL(
        "INSERT INTO raw_versions (table_name, account_id, record_key, business_date, payload, fetched_at, "
        "generated_at, load_id, superseded_at) "
        "SELECT {literal}, s.account_id, s.record_key, s.business_date, s.payload, s.fetched_at, s.generated_at, "
        "s.load_id, s.fetched_at FROM staged s JOIN {name} t USING (account_id, record_key) "
        "WHERE s.generated_at < t.generated_at AND s.payload IS DISTINCT FROM t.payload AND NOT EXISTS ("
        "SELECT FROM raw_versions v WHERE v.table_name = {literal} AND v.account_id = s.account_id "
        "AND v.record_key = s.record_key AND v.payload = s.payload AND v.generated_at = s.generated_at)"
    ).format(name=sql.Identifier(table.name), literal=sql.Literal(table.name))


@cache
def _merge_raw_statement(table: Table) -> sql.Composed:
    """The guarded merge of raw records; an equal record with a later date of writing only moves that date.

    That move matters: without it a statement written between the two would win over the later one.
    """
    return sql.SQL(
        "WITH merged AS ("
        "INSERT INTO {name} AS t (account_id, record_key, order_id, business_date, payload, fetched_at, generated_at, "
        "load_id) SELECT account_id, record_key, order_id, business_date, payload, fetched_at, generated_at, load_id "
        "FROM staged ORDER BY account_id, record_key "
        "ON CONFLICT (account_id, record_key) DO UPDATE SET order_id = EXCLUDED.order_id, "
        "business_date = EXCLUDED.business_date, payload = EXCLUDED.payload, generated_at = EXCLUDED.generated_at, "
        "fetched_at = CASE WHEN t.payload = EXCLUDED.payload THEN t.fetched_at ELSE EXCLUDED.fetched_at END, "
        "load_id = CASE WHEN t.payload = EXCLUDED.payload THEN t.load_id ELSE EXCLUDED.load_id END "
        "WHERE (t.payload <> EXCLUDED.payload AND (EXCLUDED.generated_at < t.generated_at) IS NOT TRUE) "
        "OR EXCLUDED.generated_at > t.generated_at "
        "RETURNING account_id, business_date, load_id), "
        "dirtied AS (INSERT INTO dirty_days (stage, broker, account_id, business_date) "
        "SELECT DISTINCT 'normalize', %(broker)s, account_id, business_date FROM merged "
        "WHERE load_id = %(load_id)s ON CONFLICT DO NOTHING) "
        "SELECT count(*) AS changed FROM merged WHERE load_id = %(load_id)s"
    ).format(name=sql.Identifier(table.name))


@cache
def _merge_statement(table: Table) -> sql.Composed:
    """INSERT … ON CONFLICT DO UPDATE … WHERE a column differs, returning whether each row was new."""
    name = sql.Identifier(table.name)
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    others = [column for column in table.columns if column not in table.key]
    values = {column: _merged_value(table, column).format(c=sql.Identifier(column), t=name) for column in others}
    assign = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(column), value) for column, value in values.items()
    )
    told = [column for column in others if column not in table.quiet]
    current = sql.SQL(", ").join(sql.SQL("{}.{}").format(name, sql.Identifier(column)) for column in told)
    new = sql.SQL(", ").join(values[column] for column in told)
    return sql.SQL(
        "INSERT INTO {name} ({columns}) SELECT DISTINCT ON ({key}) {columns} FROM staged ORDER BY {key} "
        "ON CONFLICT ({key}) DO UPDATE SET {assign} WHERE ({current}) IS DISTINCT FROM ({new}) "
        "RETURNING (xmax = 0) AS inserted"
    ).format(name=name, columns=columns, key=key, assign=assign, current=current, new=new)
