"""Rows that were read lately, by table and key: what is remembered is what the database holds, or it is forgotten.

A row may be read, then changed by another process, and be remembered only after the news of that change came: so each
read names what was heard before it began, and what was heard meanwhile wins.
"""

import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, Hashable]
"""Name of a table and the key of a row."""


@dataclass(slots=True)
class Remembered:
    """Rows with their versions; usable by many threads. `hits` and `misses` count the reads."""

    hits: int = 0
    misses: int = 0
    _rows: dict[Key, Any] = field(default_factory=dict[Key, Any])
    _heard: dict[Key, int] = field(default_factory=dict[Key, int])
    _epoch: int = 0
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: Key) -> Any:
        """The row, or None if it is not remembered."""
        row = self._rows.get(key)
        if row is None:
            self.misses += 1
        else:
            self.hits += 1
        return row

    @property
    def epoch(self) -> int:
        """Changes whenever everything is forgotten: a read that began before tells nothing any more."""
        return self._epoch

    def put(self, key: Key, row: Any, epoch: int) -> None:
        """Remember a row that was read or stored since `epoch`, unless a newer version was heard of."""
        with self._turn:
            known = self._rows.get(key)
            newest = max(self._heard.get(key, 0), known.version if known is not None else 0)
            if epoch == self._epoch and row.version >= newest:
                self._rows[key] = row

    def changed(self, key: Key, version: int) -> None:
        """Forget a row of which another version was stored; a row that is gone counts as one version more."""
        with self._turn:
            self._heard[key] = max(version, self._heard.get(key, 0))
            known = self._rows.get(key)
            if known is not None and known.version < version:
                del self._rows[key]

    def forget(self) -> None:
        """Forget everything: changes may have gone unheard."""
        with self._turn:
            self._epoch += 1
            self._rows.clear()
            self._heard.clear()
