"""One repository for every table: find, count, insert, upsert, delete, by columns of the registry only.

Tables that the stages write are read here and written by the pipeline alone: whoever changed them beside it would break
their seal. Named questions on top are in the other modules of this folder.
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Generic, TypeVar

import psycopg2
from psycopg2 import sql

from apex_pipeline.errors import StorageError
from apex_pipeline.store import selecting
from apex_pipeline.store.connection import reason
from apex_pipeline.store.copy_text import to_json
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import ENGINE_TABLES, Table, as_row, row_as
from apex_pipeline.store.transaction import Merged, Row, Transaction

T = TypeVar("T")

PAGE = 100
"""Rows of `find_all` unless told otherwise."""


class Repository(Generic[T]):
    """Rows of one table as instances of `row`, found and written by its columns.

    ValueError for a column that the table does not have. Conditions compare as they are: None finds unknown values, a
    list any of its values.
    """

    def __init__(self, db: Database, table: Table, row: type[T]) -> None:
        self._db = db
        self._table = table
        self._row = row

    def find_by_id(self, *key: Any) -> T | None:
        """The row of this key, told in the order of its columns."""
        if len(key) != len(self._table.key):
            raise ValueError(f"the key of {self._table.name} is {', '.join(self._table.key)}: tell all of it")
        return self.find_one_where(**dict(zip(self._table.key, key, strict=True)))

    def find_all(self, limit: int = PAGE, offset: int = 0) -> list[T]:
        """Rows in the order of the key."""
        query = selecting.select(self._table) + selecting.order(self._table, None)
        return self._found(query + sql.SQL(" LIMIT %(most)s OFFSET %(first)s"), {"most": limit, "first": offset})

    def count(self, **conditions: Any) -> int:
        """How many rows fulfil the conditions; all of them without any."""
        where, params = selecting.where(self._table, conditions)
        return int(self._db.fetchval(selecting.select(self._table, sql.SQL("count(*)")) + where, **params))

    def exists(self, **conditions: Any) -> bool:
        """Whether any row fulfils the conditions."""
        where, params = selecting.where(self._table, conditions)
        query = selecting.select(self._table, sql.SQL("true")) + where + sql.SQL(" LIMIT 1")
        return bool(self._db.fetchval(query, **params))

    def find_where(
        self, limit: int | None = None, order_by: str | Iterable[str] | None = None, **conditions: Any
    ) -> list[T]:
        """Rows that fulfil the conditions, all unless `limit`; `order_by` names columns, -column for descending."""
        where, params = selecting.where(self._table, conditions)
        query = selecting.select(self._table) + where + selecting.order(self._table, order_by)
        return self._found(query if limit is None else query + sql.SQL(f" LIMIT {int(limit)}"), params)

    def find_one_where(self, **conditions: Any) -> T | None:
        """The first row by key that fulfils the conditions, or None."""
        return next(iter(self.find_where(limit=1, **conditions)), None)

    def insert(self, row: T) -> T | None:
        """Add a row; returns it as it is stored, or None where one of its identity stands already (and stays)."""
        return self._written(row, replacing=False)

    def upsert(self, row: T) -> T:
        """Add a row or make the stored one equal to it; returns it as it is stored."""
        written = self._written(row, replacing=True)
        if written is not None:
            return written
        stored = self.find_one_where(**{name: getattr(row, name) for name in self._table.identity})
        return row if stored is None else stored

    def upsert_many(self, rows: Iterable[T]) -> Merged:
        """Add or change these rows, all or none; equal ones are not written. Of one identity the last counts."""
        self._require_writable()
        with self._refusals_told(), self._db.transaction() as tx:
            merged = (_merged(tx, table, some) for table, some in self._by_told_columns(rows))
            return sum(merged, Merged(0, 0))

    def delete(self, *key: Any) -> bool:
        """Remove the row of this key; whether there was one."""
        if len(key) != len(self._table.key):
            raise ValueError(f"the key of {self._table.name} is {', '.join(self._table.key)}: tell all of it")
        return self.delete_where(**dict(zip(self._table.key, key, strict=True))) > 0

    def delete_where(self, **conditions: Any) -> int:
        """Remove the rows that fulfil the conditions; returns how many. ValueError without any condition."""
        self._require_writable()
        where, params = selecting.where(self._table, conditions)
        if not conditions:
            raise ValueError(f"delete_where without a condition would empty {self._table.name}: tell one")
        return self._db.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(self._table.name)) + where, **params)

    def _found(self, query: sql.Composed, params: Mapping[str, Any]) -> list[T]:
        return [row_as(self._row, row) for row in self._db.fetch(query, **params)]

    def _written(self, row: T, *, replacing: bool) -> T | None:
        self._require_writable()
        values = _told(self._table, as_row(row))
        query = selecting.insert(self._table, values, replacing=replacing)
        with self._refusals_told():
            return self._one(self._db.fetchrow(query, **{name: _storable(value) for name, value in values.items()}))

    def _one(self, stored: Row | None) -> T | None:
        return None if stored is None else row_as(self._row, stored)

    @staticmethod
    def _values(row: object) -> Row:
        """The columns of a row as parameters."""
        return {name: _storable(value) for name, value in as_row(row).items()}

    def _by_told_columns(self, rows: Iterable[T]) -> Iterable[tuple[Table, list[Row]]]:
        """Rows that tell the same columns, with their table reduced to these; only the last of one identity."""
        groups: dict[tuple[str, ...], list[Row]] = {}
        for row in rows:
            values = _told(self._table, as_row(row))
            groups.setdefault(tuple(values), []).append(values)
        for columns, some in groups.items():
            yield replace(self._table, columns=columns, key=self._table.identity), some

    def _require_writable(self) -> None:
        if self._table.name not in ENGINE_TABLES:
            raise StorageError(f"{self._table.name} is written by the pipeline: correct its source instead")

    @contextmanager
    def _refusals_told(self) -> Generator[None]:
        """A row that a constraint of the table refuses, in one line."""
        try:
            yield
        except (psycopg2.IntegrityError, psycopg2.DataError) as error:
            said = error.diag.message_primary or reason(error)
            raise StorageError(f"{self._table.name} refuses a row: {said}") from error


def _told(table: Table, values: Row) -> Row:
    """The values without those that the database is to fill."""
    return {name: value for name, value in values.items() if value is not None or name not in table.generated}


def _merged(tx: Transaction, table: Table, rows: list[Row]) -> Merged:
    if not set(table.key) <= set(table.columns):  # new rows, which the database is to name
        tx.add(table, rows)
        return Merged(len(rows), 0)
    last = {tuple(row[name] for name in table.key): row for row in rows}
    return tx.merge(table, last.values())


def _storable(value: Any) -> Any:
    return to_json(list(value)) if isinstance(value, (list, tuple)) else value
