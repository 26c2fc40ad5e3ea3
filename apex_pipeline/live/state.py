"""The state of a live engine in the database: positions, capital, pyramiding, signals, and which process leads.

Rows are written under the version they were read with, so that nothing of another process is lost. What was read lately
is remembered; what another process changes is heard of as it commits and forgotten, and while nothing can be heard,
every read asks the database.
"""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

from apex_pipeline.domain.engine import Instance, PortfolioPosition, PortfolioState, PyramidingState
from apex_pipeline.domain.engine_input import changed, number, row_of
from apex_pipeline.live.remembered import Key, Remembered
from apex_pipeline.settings import Settings
from apex_pipeline.store.db import Database
from apex_pipeline.store.listening import Listener
from apex_pipeline.store.repositories.engine import Equity, Instances, Pyramiding, SignalLog
from apex_pipeline.store.repositories.versioned import VersionedRepository
from apex_pipeline.store.scopes import whatever_told_as_storage
from apex_pipeline.store.tables import PORTFOLIO_POSITIONS, PORTFOLIO_STATE, PYRAMIDING

T = TypeVar("T", PortfolioPosition, PortfolioState, PyramidingState)

CHANNEL = "apex_state"
STATEMENT_TIMEOUT_SECONDS = 10.0
LEASE_SECONDS = 15.0
HISTORY = timedelta(days=7)


class DatabaseStateManager:
    """The state of an engine, shared by its threads and processes.

    `config`: settings, a URL, a mapping with the keys of `database:` in apex.yaml, or an open Database. Reads are of
    what this process remembers, at most 100 ms behind other processes, or of the database if `fresh`. Numbers and
    instants are taken as `domain.engine_input` says. Raises StaleVersion where another writer was faster, ValueError
    for input that cannot be meant, StorageError for a database that cannot be used.
    """

    def __init__(self, config: str | Settings | Mapping[str, Any] | Database, instance_id: str | None = None) -> None:
        self.instance_id = instance_id
        self._owns = not isinstance(config, Database)
        self._db = (
            config if isinstance(config, Database) else Database(config, statement_timeout=STATEMENT_TIMEOUT_SECONDS)
        )
        self._positions = VersionedRepository(self._db, PORTFOLIO_POSITIONS, PortfolioPosition)
        self._portfolio = VersionedRepository(self._db, PORTFOLIO_STATE, PortfolioState)
        self._pyramiding = VersionedRepository(self._db, PYRAMIDING, PyramidingState)
        self._signals, self._equity, self._instances = SignalLog(self._db), Equity(self._db), Instances(self._db)
        self._pyramids = Pyramiding(self._db)
        self._remembered = Remembered()
        self._listener = Listener(self._db.url, CHANNEL, self._heard, self._remembered.forget)
        self._listener.start()

    def close(self) -> None:
        """End listening, and the connections unless they are the caller's."""
        self._listener.stop()
        if self._owns:
            self._db.close()

    def __enter__(self) -> "DatabaseStateManager":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get_connection(self) -> AbstractContextManager[Any]:
        """A connection (of psycopg2) for the time of a block, this thread's own; what is not committed is undone."""
        return self._db.acquire()

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All that this thread saves within the block is stored together, or none of it after any error."""
        with self._db.transaction():
            yield

    def save_position(self, position: PortfolioPosition | Mapping[str, Any]) -> PortfolioPosition:
        """Store a new position (version 0) or a change of one that was read; returns it with its next version.

        Of a mapping with a version only its columns are changed.
        """
        return self._save(self._positions, self._told(self._positions, PortfolioPosition, position))

    def get_position(self, position_id: str, *, fresh: bool = False) -> PortfolioPosition | None:
        """A position, None if there is none of this id."""
        return self._get(self._positions, (PORTFOLIO_POSITIONS.name, position_id), fresh=fresh)

    @whatever_told_as_storage()
    def get_all_open_positions(self) -> list[PortfolioPosition]:
        """Positions that are not closed, by their id, as the database holds them now."""
        return self._positions.find_where(status=["open", "partial"])

    @whatever_told_as_storage()
    def delete_position(self, position_id: str) -> bool:
        """Remove a position, whether there was one; what began with it no longer names it."""
        with self._db.transaction():
            began = self._pyramiding.find_where(base_position_id=position_id)
            version = self._positions.remove(position_id)
            if version is not None:
                self._drop((PORTFOLIO_POSITIONS.name, position_id), version + 1)
                for row in began:
                    self._drop((PYRAMIDING.name, row.instrument), row.version + 1)
        return version is not None

    def save_portfolio_state(self, state: PortfolioState | Mapping[str, Any]) -> PortfolioState:
        """Store the capital; returns it with its next version. Of a mapping with a version only its columns change."""
        return self._save(self._portfolio, self._told(self._portfolio, PortfolioState, state))

    def get_portfolio_state(self, *, fresh: bool = False) -> PortfolioState | None:
        """The capital, None before `begin_portfolio`."""
        return self._get(self._portfolio, (PORTFOLIO_STATE.name, 1), fresh=fresh)

    @whatever_told_as_storage()
    def begin_portfolio(self, initial_capital: Decimal | float | str) -> PortfolioState:
        """The capital, begun with `initial_capital` if there is none yet: what was earned before is kept."""
        self._equity.begin(number("initial_capital", initial_capital))
        state = self.get_portfolio_state(fresh=True)
        assert state is not None
        return state

    @whatever_told_as_storage()
    def earn(self, earned: Decimal) -> PortfolioState:
        """Add what was realized to the closed equity, whoever else does meanwhile; ValueError before it began."""
        epoch = self._remembered.epoch
        state = self._equity.earn(earned)
        if state is None:
            raise ValueError("the portfolio has no capital yet: call begin_portfolio first")
        self._keep((PORTFOLIO_STATE.name, 1), state, epoch)
        return state

    @whatever_told_as_storage()
    def save_pyramiding_state(
        self,
        instrument: str | PyramidingState | Mapping[str, Any],
        last_pyramid_price: Decimal | float | str | None = None,
        base_position_id: str | None = None,
    ) -> PyramidingState:
        """Store where an instrument was added to last; returns it with its next version.

        Told as a row, its version counts, and of a mapping with a version only its columns are changed; told in words,
        the stored row is replaced, whoever wrote it.
        """
        if not isinstance(instrument, str):
            return self._save(self._pyramiding, self._told(self._pyramiding, PyramidingState, instrument))
        price = None if last_pyramid_price is None else number("last_pyramid_price", last_pyramid_price)
        epoch = self._remembered.epoch
        stored = self._pyramids.put(PyramidingState(instrument, price, base_position_id))
        self._keep((PYRAMIDING.name, instrument), stored, epoch)
        return stored

    def get_pyramiding_state(self, instrument: str, *, fresh: bool = False) -> PyramidingState | None:
        """Where an instrument was added to last, None if it never was."""
        return self._get(self._pyramiding, (PYRAMIDING.name, instrument), fresh=fresh)

    @whatever_told_as_storage()
    def get_all_pyramiding_states(self) -> dict[str, PyramidingState]:
        """All of them by instrument, as the database holds them now."""
        return {state.instrument: state for state in self._pyramiding.find_where()}

    @whatever_told_as_storage()
    def check_duplicate_signal(self, fingerprint: str) -> bool:
        """Whether a signal of this fingerprint was logged; to be sure of being the first, log it."""
        return self._signals.has(fingerprint)

    @whatever_told_as_storage()
    def log_signal(
        self,
        fingerprint: str,
        signal_type: str,
        instrument: str | None = None,
        payload: Mapping[str, Any] | None = None,
        status: str = "RECEIVED",
    ) -> bool:
        """Log a signal; True if it is new, False if it was logged before, by this process or another."""
        told = {"instrument": instrument, "payload": payload or {}, "status": status, "instance_id": self.instance_id}
        return self._signals.add(fingerprint, signal_type, **told)

    @whatever_told_as_storage()
    def set_signal_status(self, fingerprint: str, status: str) -> bool:
        """Say what became of a signal; whether there is one."""
        return self._signals.set_status(fingerprint, status)

    @whatever_told_as_storage()
    def cleanup_signals(self, older_than: timedelta = HISTORY) -> int:
        """Remove signals received before so long ago; returns how many. They would be new again."""
        return self._signals.cleanup(older_than)

    @whatever_told_as_storage()
    def heartbeat(self, metadata: Mapping[str, Any] | None = None, lease_seconds: float = LEASE_SECONDS) -> Instance:
        """Say that this process lives, and renew its lease if it leads; its row tells whether it does."""
        return self._instances.beat(self._named(), metadata or {}, lease_seconds)

    @whatever_told_as_storage()
    def try_to_lead(self, lease_seconds: float = LEASE_SECONDS) -> bool:
        """Whether this process leads now; it does until its lease ends, so renew by `heartbeat` well before."""
        return self._instances.lead(self._named(), lease_seconds)

    @whatever_told_as_storage()
    def resign(self) -> bool:
        """Give the lead up, so that another process can take it at once; whether it was had."""
        return self._instances.resign(self._named())

    @whatever_told_as_storage()
    def get_leader(self) -> Instance | None:
        """The process that leads, None if no lease runs."""
        return self._instances.leader()

    @whatever_told_as_storage()
    def get_live_instances(self, within_seconds: float = 60) -> list[Instance]:
        """Processes whose heartbeat is not older, the latest first."""
        return self._instances.alive(within_seconds)

    def get_cache_stats(self) -> dict[str, Any]:
        """Reads answered from memory and from the database, and whether changes of other processes are heard of."""
        told = self._remembered
        return {"hits": told.hits, "misses": told.misses, "is_listening": self._listener.is_listening}

    def _named(self) -> str:
        if self.instance_id is None:
            raise ValueError("heartbeats and leadership need a name: DatabaseStateManager(config, instance_id=…)")
        return self.instance_id

    @whatever_told_as_storage()
    def _told(self, repository: VersionedRepository[T], cls: type[T], told: T | Mapping[str, Any]) -> T:
        """The row to store; of a mapping that names a version, what it leaves out stays as it is stored."""
        if not isinstance(told, Mapping) or not told.get("version"):
            return row_of(cls, told)
        return changed(repository.to_change(told), told)

    @whatever_told_as_storage()
    def _save(self, repository: VersionedRepository[T], row: T) -> T:
        epoch = self._remembered.epoch
        stored = repository.save(row)
        self._keep(repository.key_of(stored), stored, epoch)
        return _own(stored)

    def _get(self, repository: VersionedRepository[T], key: Key, *, fresh: bool) -> T | None:
        may_remember = self._listener.is_listening and not self._db.in_transaction
        if may_remember and not fresh and (known := self._remembered.get(key)) is not None:
            return _own(known)
        epoch = self._remembered.epoch
        with whatever_told_as_storage():
            row = repository.find_by_id(key[1])
        if row is not None and may_remember:
            self._remembered.put(key, row, epoch)
        return None if row is None else _own(row)

    def _keep(self, key: Key, row: Any, epoch: int) -> None:
        """Remember what was stored: at once, or when the transaction around it is."""

        def keep() -> None:
            if self._listener.is_listening:
                self._remembered.put(key, row, epoch)

        self._db.after_commit(keep)

    def _drop(self, key: Key, version: int) -> None:
        """Forget what was changed otherwise, as if it had been heard of already."""
        self._db.after_commit(lambda: self._remembered.changed(key, version))

    def _heard(self, payload: str) -> None:
        try:
            table, version, name = payload.split(" ", 2)
            key, at_version = int(name) if table == PORTFOLIO_STATE.name else name, int(version)
        except ValueError:  # anybody may notify the channel, of anything
            return
        self._remembered.changed((table, key), at_version)


def _own(row: T) -> T:
    """The row for one caller alone: what it does to the payload is not seen by others."""
    payload = getattr(row, "payload", None)
    return row if payload is None else replace(row, payload=deepcopy(payload))  # pyright: ignore[reportCallIssue]
