"""The statements of one transaction: named files, SQL text, and the guarded merge that serves every table.

Rows are COPYed to a temporary table and merged by key; a row is written only where it differs, so that loading the same
rows again changes nothing. Table and column names come from `tables` only.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any, LiteralString, cast

import psycopg2.extras
from psycopg2 import sql
from psycopg2.extensions import cursor

from apex_pipeline.store.copy_text import copy_text, is_of_numpy, require_zone, to_json
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
Query = LiteralString | sql.Composed
"""The name of a file in `store/sql`, SQL text, or what was composed of the registry of tables."""

ROWS_PER_ROUND_TRIP = 500


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
    try:
        text = files("apex_pipeline.store").joinpath("sql", f"{name}.sql").read_text("utf-8")
    except FileNotFoundError:
        raise ValueError(f"there is no statement {name!r}: SQL text of a single word is written in capitals") from None
    return cast("LiteralString", text)


class Transaction:
    """The statements of one transaction."""

    def __init__(self, cursor: cursor) -> None:
        self._cursor = cursor

    def fetch(self, query: Query, /, *args: Any, **params: Any) -> list[Row]:
        """All rows of a statement, if it returns any; `args` stand for its %s, `params` for its %(names)s."""
        self._run(query, args, params)
        return self._rows()

    def fetchrow(self, query: Query, /, *args: Any, **params: Any) -> Row | None:
        """The first row of a statement, or None."""
        row = self._first(query, args, params)
        return None if row is None else dict(zip(self._names(), row, strict=True))

    def fetchval(self, query: Query, /, *args: Any, column: int = 0, **params: Any) -> Any:
        """One column of the first row, counted from 0, or None."""
        row = self._first(query, args, params)
        return None if row is None else row[column]

    def _first(self, query: Query, args: Sequence[Any], params: Mapping[str, Any]) -> tuple[Any, ...] | None:
        self._run(query, args, params)
        return self._cursor.fetchone() if self._cursor.description else None

    def _rows(self) -> list[Row]:
        names = self._names()
        return [dict(zip(names, row, strict=True)) for row in self._cursor.fetchall()] if names else []

    def _names(self) -> list[str]:
        return [column.name for column in self._cursor.description or ()]

    def execute(self, query: Query, /, *args: Any, **params: Any) -> int:
        """Run a statement; returns the rows it touched, 0 of one that is about no rows."""
        self._run(query, args, params)
        return max(0, self._cursor.rowcount)

    def executemany(self, query: Query, rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> int:
        """Run a statement for each of these rows of parameters, few round trips for many; returns how many."""
        given = [_given(row) for row in rows]
        psycopg2.extras.execute_batch(self._cursor, _text(query), given, page_size=ROWS_PER_ROUND_TRIP)
        return len(given)

    def stream(self, query: Query, /, *args: Any, **params: Any) -> Iterator[Row]:
        """The rows of a statement one by one, as the cursor of this transaction reads them."""
        self._run(query, args, params)
        names: list[str] = []
        for row in self._cursor:
            names = names or self._names()  # of a cursor of the server known with its first rows
            yield dict(zip(names, row, strict=True))

    def _run(self, query: Query, args: Sequence[Any], params: Mapping[str, Any]) -> None:
        if args and params:
            raise ValueError("parameters are told either by place (%s) or by name (%(name)s)")
        text = _text(query)
        if len(args) == 1 and isinstance(text, str):
            args, params = _of_driver(text, args[0])
        # without parameters a % in SQL text means itself
        given = _given(args) if args else _given(params) if params or _is_name(query) else None
        self._cursor.execute(text, given)

    def find(self, table: Table, where: Mapping[str, Any], most: int, *, to_change: bool = False) -> list[Row]:
        """Rows of a table whose columns hold these values, in the order of its key.

        `to_change`: nobody else changes them until the transaction ends, and they are as the last one left them.
        """
        conditions = [sql.SQL("{} = %s").format(sql.Identifier(column)) for column in where]
        self._cursor.execute(
            sql.SQL("SELECT * FROM {} WHERE {} ORDER BY {} LIMIT %s{}").format(
                sql.Identifier(table.name),
                sql.SQL(" AND ").join(conditions),
                sql.SQL(", ").join(map(sql.Identifier, table.key)),
                sql.SQL(" FOR NO KEY UPDATE" if to_change else ""),
            ),
            (*where.values(), most),
        )
        return self._rows()

    def count_by_day(self, table: str, column: str, first: date, last: date) -> dict[date, int]:
        """Rows of a table per day of a date column, inclusive."""
        self._cursor.execute(
            sql.SQL("SELECT {0} AS day, count(*) AS rows FROM {1} WHERE {0} BETWEEN %s AND %s GROUP BY 1").format(
                sql.Identifier(column), sql.Identifier(table)
            ),
            (first, last),
        )
        return dict(self._cursor.fetchall())

    def analyze_changed(self, tables: Iterable[str]) -> None:
        """Make new statistics of those tables that grew or shrank by more than a tenth, as autovacuum will much later.

        What follows in a transaction that fills a table is planned as if the table were still empty, which can cost
        minutes where milliseconds are enough. Until the transaction ends nobody else can do the same to that table.
        """
        for row in self.fetch("statistics_due", tables=sorted(tables)):
            self._cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(row["name"])))

    def set_options(self, table: str, options: Mapping[str, str]) -> None:
        """Set options of a table, such as `timescaledb.compress`."""
        told = [
            sql.SQL("{} = {}").format(sql.Identifier(*name.split(".")), sql.Literal(value))
            for name, value in options.items()
        ]
        self._cursor.execute(sql.SQL("ALTER TABLE {} SET ({})").format(sql.Identifier(table), sql.SQL(", ").join(told)))

    def run_script(self, text: str) -> None:
        """Run a migration file."""
        self._cursor.execute(text)

    def claim(self, table: Table) -> None:
        """Let nobody else write a table until the transaction ends; waits for those who do."""
        self._cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(sql.Identifier(table.name)))

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
        return Merged(*(self._cursor.fetchone() or (0, 0)))

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

    def add(self, table: Table, rows: Iterable[Mapping[str, Any]]) -> int:
        """Insert rows whose key is not there yet; returns how many."""
        if not self.stage(table, rows):
            return 0
        columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        self._cursor.execute(
            sql.SQL("INSERT INTO {0} ({1}) SELECT {1} FROM staged ORDER BY {1} ON CONFLICT DO NOTHING").format(
                sql.Identifier(table.name), columns
            )
        )
        return self._cursor.rowcount

    def merge_raw(self, table: Table, rows: Iterable[Mapping[str, Any]], broker: str, load_id: int) -> RawMerged:
        """Append versions: newer or different records replace the current one, older ones join the history.

        The days of changed records become dirty for normalization in the same transaction.
        """
        staged = self.stage(table, rows)
        self._cursor.execute(keep_older_statement(table))
        superseded = self._cursor.rowcount
        self._cursor.execute(merge_raw_statement(table), {"broker": broker, "load_id": load_id})
        (new,) = self._cursor.fetchone() or (0,)
        return RawMerged(new, staged - superseded - new, superseded)


def _is_name(query: Query) -> bool:
    return isinstance(query, str) and query.isidentifier() and query.islower()


def _text(query: Query) -> Query:
    """What is executed: a name stands for its file."""
    return statement(query) if isinstance(query, str) and _is_name(query) else query


_PLACE = re.compile(r"%(?:(?P<escaped>%)|\((?P<name>[^)]*)\))?")


def _of_driver(text: str, given: Any) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """A single parameter; or all of them in one sequence or mapping, as the driver itself takes them."""
    places = [place for place in _PLACE.finditer(text) if not place["escaped"]]
    if isinstance(given, Mapping) and places and all(place["name"] for place in places):
        return (), given
    if isinstance(given, (list, tuple)) and len(given) == len(places) > 1:
        return tuple(given), {}
    return (given,), {}


def _given(values: Sequence[Any] | Mapping[str, Any]) -> Any:
    """Parameters as the driver takes them: mappings are JSON, enums are their values, numpy's numbers are Python's.

    ValueError for an instant without a zone.
    """
    if isinstance(values, Mapping):
        return {name: _adapted(value) for name, value in values.items()}
    return tuple(map(_adapted, values))


def _adapted(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return to_json(dict(cast("Mapping[str, Any]", value)))
    if isinstance(value, (list, tuple)):
        for one in cast("Sequence[Any]", value):
            require_zone(one)
        return cast("Any", value)
    return require_zone(value.item() if is_of_numpy(value) else value)
