"""Rows that several processes change: whoever writes names the version it has read, and loses if another was faster.

Here: one row by its key, written under its version. Not here: what is remembered of rows between reads, which is in
`live.state`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from apex_pipeline.errors import StaleVersion, StorageUncertain
from apex_pipeline.store import selecting
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.generic import Repository
from apex_pipeline.store.tables import Table, as_row


class Versioned(Protocol):
    """A row that counts its writes; 0 is a row that was never written."""

    @property
    def version(self) -> int: ...


T = TypeVar("T", bound=Versioned)


class VersionedRepository(Repository[T]):
    """A table with a version, whose key is one column.

    `save` adds a row of version 0, and changes one that still has the version it was read with.
    """

    def __init__(self, db: Database, table: Table, row: type[T]) -> None:
        super().__init__(db, table, row)
        self._update = selecting.update_of_version(table)
        self._delete = selecting.delete_of_version(table)

    def save(self, row: T) -> T:
        """Store the row; returns it as it is stored, with the next version.

        Raises StaleVersion where another writer was faster: the stored row stays, the given one is not stored.
        """
        try:
            stored = self._stored(row)
        except StorageUncertain:  # the row itself tells whether the commit came through
            stored = self._is_stored(row) or self._stored(row)
        if stored is None:
            raise StaleVersion(self._refusal(self._key(row), row.version))
        return stored

    def to_change(self, told: Mapping[str, Any]) -> T:
        """The stored row that these columns are of, told with its key (else ValueError); StaleVersion if it is gone."""
        (name,) = self._table.key
        if name not in told:
            raise ValueError(f"which row of {self._table.name} is to change? Tell its {name}")
        stored = self.find_by_id(told[name])
        if stored is None:
            raise StaleVersion(self._refusal((told[name],), told["version"]))
        return stored

    def remove(self, key: Any) -> int | None:
        """Remove the row of this key; the version that it had, None if there was none."""
        return self._db.fetchval(self._delete, **self._key_told((key,)))

    def key_of(self, row: T) -> tuple[str, Any]:
        """The table and the key of a row, as it is told of."""
        return self._table.name, self._key(row)[0]

    def _stored(self, row: T) -> T | None:
        if row.version == 0:
            return self.insert(replace(row, version=1))  # pyright: ignore[reportArgumentType]
        with self._refusals_told():
            return self._one(self._db.fetchrow(self._update, **self._values(row)))

    def _is_stored(self, row: T) -> T | None:
        """The stored row, if it is the next version of what was given and says the same."""
        stored = self.find_by_id(*self._key(row))
        if stored is None or stored.version != row.version + 1:
            return None
        written = {**as_row(stored), **dict.fromkeys((*self._table.generated, "version"))}
        return stored if written == {**as_row(row), **dict.fromkeys((*self._table.generated, "version"))} else None

    def _refusal(self, key: tuple[Any, ...], version: int) -> str:
        name = f"{self._table.name} {'/'.join(map(str, key))}"
        stored = self.find_by_id(*key)
        if stored is None:
            return f"{name} is gone, version {version} was not stored: load it again and decide anew"
        told = f"version {version}" if version else "a new row"
        return f"{name} has version {stored.version} by now, {told} was not stored: load it again and decide anew"

    def _key(self, row: T) -> tuple[Any, ...]:
        return tuple(getattr(row, name) for name in self._table.key)
