"""One repository for every table: find, count, insert, upsert, delete, by columns of the registry only.

Tables that the stages write are read here and written by the pipeline alone: whoever changed them beside it would break
their seal. Named questions on top are in the other modules of this folder.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
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


class Finder(Generic[T]):
    """Rows of one table as instances of `row`, found by its columns; `always`: conditions that hold in every question.

    ValueError for a column that the table does not have, and for a value that cannot be compared with its column.
    Conditions compare as they are: None finds unknown values, a list any of its values.
    """

    def __init__(self, db: Database, table: Table, row: type[T], **always: Any) -> None:
        self._db = db
        self._table = table
        self._row = row
        self._always = always

    def find_by_id(self, *key: Any) -> T | None:
        """The row of this key, told in the order of its columns."""
        return self.find_one_where(**self._key_told(key))

    def find_all(self, limit: int | None = PAGE, offset: int = 0) -> list[T]:
        """Rows in the order of the key."""
        return self._found({}, None, limit, offset)

    def count(self, **conditions: Any) -> int:
        """How many rows fulfil the conditions; all of them without any."""
        where, params = self._where(conditions)
        query = selecting.select(self._table, sql.SQL("count(*)")) + where
        with self._misunderstandings_told():
            return int(self._db.fetchval(query, **params))

    def exists(self, **conditions: Any) -> bool:
        """Whether any row fulfils the conditions."""
        where, params = self._where(conditions)
        query = selecting.select(self._table, sql.SQL("true")) + where + sql.SQL(" LIMIT 1")
        with self._misunderstandings_told():
            return bool(self._db.fetchval(query, **params))

    def find_where(
        self, limit: int | None = None, order_by: str | Iterable[str] | None = None, **conditions: Any
    ) -> list[T]:
        """Rows that fulfil the conditions, all unless `limit`; `order_by` names columns, -column for descending."""
        return self._found(conditions, order_by, limit)

    def find_one_where(self, **conditions: Any) -> T | None:
        """The first row by key that fulfils the conditions, or None."""
        return next(iter(self.find_where(limit=1, **conditions)), None)

    def _found(
        self, conditions: Mapping[str, Any], order_by: str | Iterable[str] | None, limit: int | None, offset: int = 0
    ) -> list[T]:
        where, params = self._where(conditions)
        query = selecting.select(self._table) + where + selecting.order(self._table, order_by)
        with self._misunderstandings_told():
            return self._rows(self._db.fetch(query + selecting.page(limit, offset), **params))

    def _rows(self, rows: Iterable[Row]) -> list[T]:
        return [row_as(self._row, row) for row in rows]

    def _where(self, conditions: Mapping[str, Any]) -> tuple[sql.Composable, dict[str, Any]]:
        for name, value in self._always.items():
            if conditions.get(name, value) != value:
                raise ValueError(f"only rows whose {name} is {value} are found here, not {conditions[name]!r}")
        return selecting.where(self._table, {**conditions, **self._always})

    def _key_told(self, values: tuple[Any, ...]) -> dict[str, Any]:
        if len(values) != len(self._table.key):
            raise ValueError(f"the key of {self._table.name} is {', '.join(self._table.key)}: tell all of it")
        return dict(zip(self._table.key, values, strict=True))

    @contextmanager
    def _misunderstandings_told(self) -> Generator[None]:
        """A value that its column cannot be compared with, in one line."""
        try:
            yield
        except (psycopg2.DataError, psycopg2.errors.UndefinedFunction) as error:
            raise ValueError(f"{self._table.name} cannot be asked for that: {reason(error)}") from error


class Repository(Finder[T]):
    """Rows of one table, found and written by its columns; a row is told as an instance of `row` or as a mapping.

    Of a mapping only its columns are written. ValueError for a column that the table does not have and for an instant
    without a zone; StorageError, in one line, for a row that the table refuses.
    """

    def insert(self, row: T | Mapping[str, Any]) -> T | None:
        """Add a row; returns it as it is stored, or None where one of its identity stands already (and stays)."""
        values = self._to_write(row)
        if key := selecting.counted_key(self._table, values):
            if self.exists(**key):
                return None
            raise self._uncounted(key)
        return self._inserted(values, replacing=False)

    def upsert(self, row: T | Mapping[str, Any]) -> T:
        """Add a row or make the stored one equal to it; returns it as it is stored."""
        values = self._to_write(row)
        if key := selecting.counted_key(self._table, values):
            self._change(values, key)
            return self._found_again(key)
        written = self._inserted(values, replacing=True)
        if written is not None:
            return written
        return self._found_again({name: values[name] for name in self._table.identity})

    def upsert_many(self, rows: Iterable[T | Mapping[str, Any]]) -> Merged:
        """Add or change these rows, all or none, as if one after the other; equal ones are not written.

        Of rows that tell the same columns of one identity only the last is written.
        """
        told = list(map(self._to_write, rows))
        with self._refusals_told(), self._db.transaction() as tx:
            return sum((self._merged(tx, some) for some in self._in_parts(told)), Merged(0, 0))

    def delete(self, *key: Any) -> bool:
        """Remove the row of this key; whether there was one."""
        return self.delete_where(**self._key_told(key)) > 0

    def delete_where(self, **conditions: Any) -> int:
        """Remove the rows that fulfil the conditions; returns how many. ValueError without any condition."""
        self._require_writable()
        where, params = self._where(conditions)
        if not conditions:
            raise ValueError(f"delete_where without a condition would empty {self._table.name}: tell one")
        query = sql.SQL("DELETE FROM {}").format(sql.Identifier(self._table.name)) + where
        with self._misunderstandings_told():
            try:
                return self._db.execute(query, **params)
            except psycopg2.IntegrityError as error:
                raise StorageError(f"{self._table.name} keeps these rows: {reason(error)}") from error

    def _completed(self, values: Row) -> Row:
        """The values with what follows from them; the place for a table's own rules."""
        return values

    def _to_write(self, row: T | Mapping[str, Any]) -> Row:
        """The columns to write: those told, without those that the database is to fill."""
        self._require_writable()
        told: Row = dict(row) if isinstance(row, Mapping) else as_row(row)
        for name, value in told.items():
            _ = selecting.known_column(self._table, name)
            if isinstance(value, datetime) and value.tzinfo is None:
                raise ValueError(f"{self._table.name}.{name} needs a zone: tell datetime.now(UTC), for example")
        filled = self._table.generated
        return {name: value for name, value in self._completed(told).items() if value is not None or name not in filled}

    def _inserted(self, values: Row, *, replacing: bool) -> T | None:
        values = selecting.without_counted(self._table, values)
        query = selecting.insert(self._table, values, replacing=replacing)
        with self._refusals_told():
            return self._one(self._db.fetchrow(query, **_storable(values)))

    def _one(self, stored: Row | None) -> T | None:
        return None if stored is None else row_as(self._row, stored)

    @staticmethod
    def _values(row: object) -> Row:
        """The columns of a row as parameters."""
        return _storable(as_row(row))

    def _change(self, values: Row, key: Row) -> int:
        with self._refusals_told():
            return self._db.execute(selecting.update(self._table, values), **_storable({**values, **key}))

    def _found_again(self, key: Mapping[str, Any]) -> T:
        stored = self.find_one_where(**key)
        if stored is None:
            raise self._uncounted(key)
        return stored

    def _in_parts(self, rows: Iterable[Row]) -> Iterator[list[Row]]:
        """Rows that tell the same columns, together as long as no other part tells of the same row before."""
        groups: dict[tuple[str, ...], list[Row]] = {}
        part_of: dict[tuple[Any, ...], tuple[str, ...]] = {}
        for values in rows:
            columns = tuple(values)
            names = tuple(selecting.counted_key(self._table, values)) or self._table.identity
            if set(names) <= set(columns):
                identity = tuple(values[name] for name in names)
                if part_of.setdefault(identity, columns) != columns:
                    yield from groups.values()
                    groups, part_of = {}, {identity: columns}
            groups.setdefault(columns, []).append(values)
        yield from groups.values()

    def _merged(self, tx: Transaction, rows: list[Row]) -> Merged:
        """Rows that all tell the same columns, written in one part."""
        if selecting.counted_key(self._table, rows[0]):
            changed = [tx.execute(selecting.update(self._table, values), **_storable(values)) for values in rows]
            return Merged(0, sum(changed))
        rows = [selecting.without_counted(self._table, values) for values in rows]
        columns = tuple(rows[0])
        if not set(self._table.identity) <= set(columns):  # new rows, which the database is to name
            query = selecting.insert(self._table, columns, replacing=False)
            return Merged(tx.executemany(query, [_storable(values) for values in rows]), 0)
        table = replace(self._table, columns=columns, key=self._table.identity)
        last = {tuple(values[name] for name in table.key): values for values in rows}
        return tx.merge(table, last.values())

    def _uncounted(self, key: Mapping[str, Any]) -> StorageError:
        name, value = next(iter(key.items()))
        return StorageError(
            f"{self._table.name} has no row whose {name} is {value!r}: leave it None, and the database tells the next"
        )

    def _require_writable(self) -> None:
        if self._table.name not in ENGINE_TABLES:
            raise StorageError(f"{self._table.name} is written by the pipeline: correct its source instead")

    def _refusals_told(self) -> AbstractContextManager[None]:
        return refusals_told(self._table)


@contextmanager
def refusals_told(table: Table) -> Generator[None]:
    """A row that a constraint of the table refuses, in one line."""
    try:
        yield
    except (psycopg2.IntegrityError, psycopg2.DataError, psycopg2.errors.DatatypeMismatch) as error:
        raise StorageError(f"{table.name} refuses a row: {reason(error)}") from error


def _storable(values: Row) -> Row:
    """Lists as the JSON that their columns hold."""
    return {name: to_json(list(value)) if isinstance(value, (list, tuple)) else value for name, value in values.items()}
