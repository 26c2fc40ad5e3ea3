"""TimescaleDB, where the server has it: our large tables cut into chunks by time, old chunks compressed or dropped.

It is used by choice and outside the migrations: without it everything works the same. The statements are those that
TimescaleDB has had from 2.11 on; later versions have other names for some, and keep these through all of 2.
"""

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2

from apex_pipeline.errors import ConfigError, StorageError
from apex_pipeline.store.connection import reason
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import ACCOUNT_SNAPSHOTS, BARS, POSITION_SNAPSHOTS, RISK_SNAPSHOTS, Table
from apex_pipeline.store.transaction import Row, Transaction

FIRST, BEYOND = (2, 11), (3, 0)
"""Versions from the first, which changes rows of compressed chunks, up to one whose statements are not known here."""

NOT_THERE = (
    "this server has no TimescaleDB: install its package for this version of PostgreSQL, add timescaledb to"
    " shared_preload_libraries, restart the server and try again; nothing was changed"
)
NOT_LOADED = (
    "TimescaleDB is on this server but not loaded: add timescaledb to shared_preload_libraries, restart the server and"
    " try again; nothing was changed"
)
_WITHOUT_COMPRESSION = "apache"
"""The licence of builds that have neither compression nor policies."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How tables are to be kept. Intervals as PostgreSQL reads them; retention None: kept for ever."""

    chunk_interval: str = "1 month"
    compression_after: str = "7 days"
    snapshot_compression_after: str = "7 days"
    snapshot_retention_days: int | None = 365
    bar_retention_days: int | None = None


@dataclass(frozen=True, slots=True)
class Hypertable:
    """A table that can become one: `time` is the last column of its key, the others are what rows are grouped by."""

    table: Table
    is_snapshot: bool

    @property
    def time(self) -> str:
        return self.table.key[-1]

    @property
    def groups(self) -> tuple[str, ...]:
        return self.table.key[:-1]


HYPERTABLES = (
    Hypertable(BARS, is_snapshot=False),
    Hypertable(POSITION_SNAPSHOTS, is_snapshot=True),
    Hypertable(ACCOUNT_SNAPSHOTS, is_snapshot=True),
    Hypertable(RISK_SNAPSHOTS, is_snapshot=True),
)


@dataclass(frozen=True, slots=True)
class TimescaleState:
    """Whether there is a TimescaleDB, and which tables it keeps."""

    installed: str | None
    available: str | None
    license: str | None
    preloaded: str | None
    tables: tuple[Row, ...] = ()

    @property
    def word(self) -> str:
        """ENABLED (all our tables use it), PARTLY, INSTALLED (none does), AVAILABLE (to install) or ABSENT."""
        if self.installed is None:
            return "ABSENT" if self.available is None else "AVAILABLE"
        return "ENABLED" if len(self.tables) == len(HYPERTABLES) else "PARTLY" if self.tables else "INSTALLED"

    def as_json(self) -> dict[str, Any]:
        """The state for `--json`."""
        return {"state": self.word, "version": self.installed or self.available, "tables": list(self.tables)}


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was asked of a table: whether it was done now, and if it could not be, why."""

    table: str
    what: str
    done: bool
    hindrance: str | None = None


class Timescale:
    """The extension in one database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def state(self) -> TimescaleState:
        """What is there now."""
        row = self._db.fetchrow("timescale_state") or {}
        tables = tuple(self._tables()) if row["installed"] else ()
        return TimescaleState(row["installed"], row["available"], row["license"], row["preloaded"], tables)

    def install(self) -> None:
        """Have the extension in this database; ConfigError, with nothing changed, where the server has none to use."""
        state = self.state()
        version = state.installed or state.available
        if version is None:
            raise ConfigError(NOT_THERE)
        if not FIRST <= _numbers(version) < BEYOND:
            raise ConfigError(f"TimescaleDB {version} cannot be used here: versions 2.11 and later of 2 can")
        try:
            with self._db.transaction() as tx:
                tx.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")  # no file: it can be planned nowhere else
        except (psycopg2.Error, StorageError) as error:
            if state.preloaded is not None and "timescaledb" not in state.preloaded:
                raise ConfigError(NOT_LOADED) from error
            raise StorageError(f"TimescaleDB {version} cannot be installed: {_said(error)}") from error

    def enable(self, wish: Wish, tell: Callable[[Step], None]) -> None:
        """Bring every table to the wish, one transaction a table, and `tell` each step once it is stored.

        Whoever uses a table waits while its rows move into chunks. Raises ConfigError as `install` does, StorageError
        where the server refuses a step; what was done before stays, and asking again goes on from there.
        """
        with self._db.lock("apex:migrate"):
            self.install()
            has_policies = self.state().license != _WITHOUT_COMPRESSION
            for one in HYPERTABLES:
                with _refusals_told(one.table.name), self._db.transaction() as tx:
                    steps = [*_chunks(tx, one, wish), *_policies(tx, one, wish, has_policies=has_policies)]
                for step in steps:
                    tell(step)

    def _tables(self) -> list[Row]:
        return self._db.fetch("timescale_tables", tables=[one.table.name for one in HYPERTABLES])


def _chunks(tx: Transaction, one: Hypertable, wish: Wish) -> Iterator[Step]:
    name = one.table.name
    stored = _stored(tx, name)
    if stored is None:
        tx.execute("timescale_convert", table=name, column=one.time, chunk_interval=wish.chunk_interval)
        yield Step(name, f"chunks of {wish.chunk_interval}", done=True)
        return
    differs = _differs(tx, stored["chunk_interval"], wish.chunk_interval)
    if differs:
        tx.execute("timescale_chunks", table=name, chunk_interval=wish.chunk_interval)
    yield Step(name, f"chunks of {wish.chunk_interval}", done=differs)


def _policies(tx: Transaction, one: Hypertable, wish: Wish, *, has_policies: bool) -> Iterator[Step]:
    days = wish.snapshot_retention_days if one.is_snapshot else wish.bar_retention_days
    keeping = None if days is None else f"{days} days"
    after = wish.snapshot_compression_after if one.is_snapshot else wish.compression_after
    compressing = f"compressed after {after}"
    dropping = f"dropped after {keeping}"
    name = one.table.name
    if not has_policies:
        hindrance = "this build has the Apache licence, without compression and policies"
        yield Step(name, compressing, done=False, hindrance=hindrance)
        if keeping:
            yield Step(name, dropping, done=False, hindrance=hindrance)
        return
    stored = _stored(tx, name) or {}
    if not stored["is_compressed"]:
        tx.set_options(
            name,
            {
                "timescaledb.compress": "true",
                "timescaledb.compress_segmentby": ", ".join(one.groups),
                "timescaledb.compress_orderby": f"{one.time} DESC",
            },
        )
    compressed = _has_policy(tx, stored["compress_after"], after)
    if not compressed:
        tx.execute("timescale_compress_no_more", table=name)
        tx.execute("timescale_compress", table=name, after=after)
    yield Step(name, compressing, done=not compressed)
    if keeping:
        dropped = _has_policy(tx, stored["drop_after"], keeping)
        if not dropped:
            tx.execute("timescale_drop_no_more", table=name)
            tx.execute("timescale_drop", table=name, after=keeping)
        yield Step(name, dropping, done=not dropped)


def _has_policy(tx: Transaction, stored: str | None, wanted: str) -> bool:
    return stored is not None and not _differs(tx, stored, wanted)


def _stored(tx: Transaction, table: str) -> Row | None:
    return tx.fetchrow("timescale_tables", tables=[table])


def _differs(tx: Transaction, stored: str, wanted: str) -> bool:
    """Whether two intervals are not the same time; a month counts as 30 days, as it does in chunks."""
    return bool(tx.fetchval("SELECT %(stored)s::interval <> %(wanted)s::interval", stored=stored, wanted=wanted))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


@contextmanager
def _refusals_told(what: str) -> Generator[None]:
    """A step that the server refuses, in one line."""
    try:
        yield
    except psycopg2.Error as error:
        raise StorageError(f"TimescaleDB was not enabled for {what}: {_said(error)}") from error


def _said(error: psycopg2.Error | StorageError) -> str:
    told = error.diag.message_primary if isinstance(error, psycopg2.Error) else None
    return told or reason(error)
