"""Captures what an engine holds, is worth and risks, again and again, so that its next start knows it in a second.

What an engine tells is read in `domain.told_snapshots`; when it is asked follows from the settings. An engine that
cannot tell (None, or an error of its own) leaves the last snapshot as it is: what is not known is never taken for flat.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from apex_pipeline.domain.market import AccountSnapshot, PositionSnapshot
from apex_pipeline.domain.results import EventSeverity, SystemEvent
from apex_pipeline.domain.told_snapshots import Told
from apex_pipeline.domain.told_values import Key
from apex_pipeline.errors import ApexError, StorageError
from apex_pipeline.live.captures import READERS, REPOSITORIES, Kind, KindStatus, at_hand
from apex_pipeline.live.endings import of_this_process
from apex_pipeline.live.snapshot_plan import plan_of
from apex_pipeline.live.ticker import Ticker
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.generic import Repository
from apex_pipeline.store.repositories.snapshot_keeping import SnapshotKeeper
from apex_pipeline.store.scopes import whatever_told_as_storage
from apex_pipeline.store.tables import SYSTEM_EVENTS

Callback = Callable[[], Any]

DAY_SECONDS, FIRST_CLEANUP_SECONDS = 86_400.0, 300.0
STOP_SECONDS = 10.0
"""How long `stop` waits for a capture that is under way."""

REFUSED = "SNAPSHOT_REFUSED"
"""The type of the system event for what an engine told and nobody can read."""

_log = logging.getLogger("apex_pipeline.snapshots")


class SnapshotService:
    """Captures positions, accounts and risk at their intervals in threads of its own, and once more at the end.

    `config`: settings, a mapping with the keys of `snapshots:` in apex.yaml, or None for the defaults. A callback
    returns what the engine has, of all its accounts (see `domain.told_snapshots`), or None if it cannot tell now.
    Without any callback the positions of the ledger are captured, and with them up to which movement.
    """

    def __init__(
        self,
        db: Database,
        config: Any = None,
        get_positions_callback: Callback | None = None,
        get_account_callback: Callback | None = None,
        get_risk_snapshot_callback: Callback | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Raises ConfigError for a configuration that cannot be meant."""
        self.plan = plan_of(config)
        self._db = db
        self._now = now
        self._callbacks: dict[Kind, Callback | None] = {
            Kind.ACCOUNTS: get_account_callback,
            Kind.POSITIONS: get_positions_callback,
            Kind.RISK: get_risk_snapshot_callback,
        }
        self._capturing = {kind: threading.RLock() for kind in Kind}
        self._status = {kind: KindStatus() for kind in Kind}
        self._complaints: dict[tuple[Kind, str], str] = {}
        self._known = set[Key]()
        self._tickers: list[Ticker] = []
        self._running = threading.RLock()

    def start(self, *, sigterm: bool | None = None) -> None:
        """Capture at the intervals until `stop`; the first time one interval from now. A second start changes nothing.

        `sigterm`: make the last capture on SIGTERM too; None means if this is the main thread and the program handles
        it nowhere. An earlier handler is called as before.
        """
        with self._running:
            if self._tickers:
                return
            if not self.plan.enabled:
                _log.info("snapshots are disabled: none is taken by itself")
                return
            of_this_process.add(self.stop, sigterm=sigterm)
            plan = self.plan
            intervals = {Kind.POSITIONS: plan.positions, Kind.ACCOUNTS: plan.accounts, Kind.RISK: plan.risk}
            self._tickers = [
                Ticker(f"snapshots-{kind}", intervals[kind], lambda kind=kind: self._try(kind))
                for kind in Kind
                if self._is_captured(kind)
            ]
            self._tickers.append(Ticker("snapshots-cleanup", DAY_SECONDS, self._try_cleanup, FIRST_CLEANUP_SECONDS))
            for ticker in self._tickers:
                ticker.start()

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """End the threads and capture once more; waits `timeout` seconds at most for a capture under way."""
        with self._running:
            tickers, self._tickers = self._tickers, []
            if not tickers:
                return
            of_this_process.remove(self.stop)
            deadline = time.monotonic() + timeout
            for ticker in tickers:
                ticker.end()
            for ticker in tickers:
                ticker.join(deadline - time.monotonic())
            if self.plan.capture_on_shutdown:
                at = self._now()
                for kind in self._callbacks:
                    self._try(kind, at, max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def capture_all_now(self) -> dict[str, int]:
        """Capture everything as of one moment; returns how many snapshots were stored of positions, accounts, risk.

        What cannot be told is left out. StorageError if the database did not take them.
        """
        at, stored = self._now(), dict.fromkeys(map(str, Kind), 0)
        errors: list[StorageError] = []
        for kind in self._callbacks:  # accounts come first: they tell which of them hold nothing
            try:
                stored[kind] = self._capture(kind, at)
            except StorageError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return stored

    def capture_positions_now(self) -> int:
        """Capture the positions of every account; returns how many snapshots were stored. StorageError as above."""
        return self._capture(Kind.POSITIONS, self._now())

    def capture_accounts_now(self) -> int:
        """Capture what every account is worth; returns how many snapshots were stored. StorageError as above."""
        return self._capture(Kind.ACCOUNTS, self._now())

    def capture_risk_now(self) -> int:
        """Capture the figures of risk; returns how many snapshots were stored. StorageError as above."""
        return self._capture(Kind.RISK, self._now())

    @whatever_told_as_storage()
    def cleanup(self) -> dict[str, int]:
        """Remove snapshots that are older than the retention, some at a time; returns how many by table."""
        return SnapshotKeeper(self._db).forget(self._now() - timedelta(days=self.plan.retention_days))

    def status(self) -> dict[str, Any]:
        """Whether the threads run, and by kind what `KindStatus` counts."""
        counts = {
            str(kind): {name: getattr(status, name) for name in KindStatus.__slots__}
            for kind, status in self._status.items()
        }
        return {"running": bool(self._tickers), "enabled": self.plan.enabled, **counts}

    @property
    def _is_of_ledger(self) -> bool:
        return not any(self._callbacks.values())

    def _is_captured(self, kind: Kind) -> bool:
        return self._callbacks[kind] is not None or (kind is Kind.POSITIONS and self._is_of_ledger)

    def _try(self, kind: Kind, at: datetime | None = None, patience: float = -1) -> None:
        """As `_capture`, for nobody who waits: an error is logged and counted, and the next time comes.

        `patience`: seconds to wait for a capture that is under way, for ever if negative.
        """
        if not self._capturing[kind].acquire(timeout=patience):
            _log.warning("the last capture of %s is left out: an earlier one is still under way", kind)
            return
        try:
            self._capture(kind, at or self._now())
        except ApexError as error:
            _log.warning("%s were not captured: %s", kind, error)
        # whatever it is, the thread has to live: a capture that never comes again would be noticed by nobody
        except Exception as error:  # noqa: BLE001
            self._failed(kind, f"{type(error).__name__}: {error}")
            _log.error("%s were not captured", kind, exc_info=error)
        finally:
            self._capturing[kind].release()

    def _try_cleanup(self) -> None:
        try:
            gone = {table: count for table, count in self.cleanup().items() if count}
        # whatever it is, the next day tries again
        except Exception as error:  # noqa: BLE001
            _log.warning("old snapshots were not removed: %s", error)
            return
        if gone:
            _log.info("removed snapshots older than %g days: %s", self.plan.retention_days, gone)

    def _capture(self, kind: Kind, at: datetime) -> int:
        if not self._is_captured(kind):
            return 0
        with self._capturing[kind]:
            status = self._status[kind]
            status.captures += 1
            try:
                with whatever_told_as_storage():
                    told = self._told(kind, at)
                    stored = 0 if told is None else self._store(kind, told.snapshots)
            except ApexError as error:
                self._failed(kind, str(error))
                raise
            if told is None:
                return 0
            with whatever_told_as_storage():
                self._complain(kind, told)
            status.snapshots += stored
            status.last_at = at
            return stored

    def _told(self, kind: Kind, at: datetime) -> Told[Any] | None:
        """What is to be stored; None where the callback failed, which is logged and counted."""
        callback = self._callbacks[kind]
        if callback is None:
            return Told(SnapshotKeeper(self._db).of_ledger(at))
        try:
            return READERS[kind](at_hand(callback()), at, frozenset(self._known))
        # whatever the engine's own code raises: its next capture, and the other callbacks, must not suffer from it
        except Exception as error:  # noqa: BLE001
            self._failed(kind, f"the callback for {kind} raised {type(error).__name__}: {error}")
            _log.warning("%s were not captured", kind, exc_info=error)
            return None

    def _store(self, kind: Kind, snapshots: Iterable[Any]) -> int:
        """Each by itself: one that the database refuses does not stop the others."""
        repository: Repository[Any] = REPOSITORIES[kind](self._db)
        stored, errors = 0, list[StorageError]()
        for snapshot in snapshots:
            if isinstance(snapshot, (PositionSnapshot, AccountSnapshot)):
                self._known.add((snapshot.broker, snapshot.account_id))
            try:
                with whatever_told_as_storage():
                    stored += repository.insert(snapshot) is not None
            except StorageError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return stored

    def _failed(self, kind: Kind, why: str) -> None:
        self._status[kind].failures += 1
        self._status[kind].last_error = why

    def _complain(self, kind: Kind, told: Told[Any]) -> None:
        """Log what was refused, and keep it as an event when it is new: a capture comes every minute."""
        fine = [about for of, about in self._complaints if of is kind and about not in told.refused]
        for about in fine:
            del self._complaints[kind, about]
        for about, why in told.refused.items():
            self._status[kind].refused += 1
            self._status[kind].last_error = f"{about}: {why}"
            _log.warning("%s of %s were refused: %s", kind, about, why)
            if self._complaints.get((kind, about)) != why:
                message = f"{kind} of {about} were refused, and nothing of them was stored: {why}"
                details = {"kind": str(kind), "subject": about, "reason": why}
                event = SystemEvent(REFUSED, EventSeverity.WARNING, message, details)
                Repository(self._db, SYSTEM_EVENTS, SystemEvent).insert(event)
                self._complaints[kind, about] = why
