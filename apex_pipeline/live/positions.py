"""The current book: what an engine believes it holds, kept in step with the brokers and named by the ledger.

A broker that answers is believed; while none does, the newest that it told (loaded or captured), and without any the
ledger. What is not known is never taken for flat. The comparing itself is in `domain.book`; here are its sources and
its clock.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.book import LEDGER, OPEN, Difference, Held, Life, Told, compared
from apex_pipeline.domain.ledger import BookPosition
from apex_pipeline.domain.models import Broker, BrokerPosition
from apex_pipeline.domain.snapshots import UnusableSnapshot, checked_positions
from apex_pipeline.errors import ApexError, BrokerError
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.book import BookRepository, Known

GetPositions = Callable[[str], Sequence[BrokerPosition] | None]
"""Asks a broker for the positions of an account: all of them, or None if it cannot tell now."""

_log = logging.getLogger("apex_pipeline.positions")


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What comparing the book with its source did.

    `source`: the broker that told, or LEDGER; None if nothing is known of the account and nothing was done. `as_of`:
    when that was told (UTC), and `age_seconds` how long ago. `differences`: symbols whose quantity in the book, as it
    was, is not what was told. `error`: why the broker was not asked with success, if it was asked; of `sync_all` also
    why nothing could be done.
    """

    account_id: str
    created: int = 0
    updated: int = 0
    closed: int = 0
    source: str | None = None
    as_of: datetime | None = None
    age_seconds: float | None = None
    differences: tuple[Difference, ...] = ()
    error: str | None = None


class PositionSyncService:
    """Compares the book of positions with what the broker tells, and corrects it; also every few minutes by itself.

    `get_positions` asks a broker for the positions of an account; if there is none, if it returns None or raises
    whatever it may, the newest that is stored is taken instead.
    """

    def __init__(
        self,
        db: Database,
        get_positions: GetPositions | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._book = BookRepository(db)
        self._get_positions = get_positions
        self._now = now
        self._syncing = threading.Lock()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def sync_positions(self, account_id: str) -> SyncResult:
        """Make the book of an account what is known of its positions; see `SyncResult`. StorageError is raised."""
        with self._syncing, self._book.in_turn(account_id):
            told, error = self._told(account_id)
            if told is None:
                return SyncResult(account_id, error=error)
            book = self._book.book(account_id)
            lives = self._book.lives(account_id, [row.position_id for row in book])
            change = compared(book, told, lives)
            self._book.save(change.rows, change.gone)
        return SyncResult(
            account_id,
            change.created,
            change.updated,
            change.closed,
            told.source,
            told.as_of,
            (self._now() - told.as_of).total_seconds(),
            change.differences,
            error,
        )

    def sync_all(self) -> dict[str, SyncResult]:
        """Sync every account that anything is known of; one that cannot be synced does not stop the others.

        StorageError where it cannot be told which accounts there are.
        """
        return {account_id: self._tried(account_id) for account_id in self._book.accounts()}

    def start(self, interval: float = 300) -> None:
        """Sync all accounts now and every `interval` seconds in a thread of its own, until `stop`."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stopped.clear()
        self._wake.clear()
        self._thread = threading.Thread(target=self._run, args=(interval,), name="position-sync", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """Have the thread sync at once: a fill came, or a connection is back."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread after what it is doing."""
        self._stopped.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, interval: float) -> None:
        while not self._stopped.is_set():
            try:
                self.sync_all()
            # whatever it is, the next round tries again: a thread that ended would be noticed by nobody
            except Exception as error:  # noqa: BLE001
                _log.warning("positions were not synced: %s", error)
            self._wake.wait(interval)
            self._wake.clear()

    def _tried(self, account_id: str) -> SyncResult:
        try:
            return self.sync_positions(account_id)
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning("positions of %s were not synced", account_id, exc_info=error)
            return SyncResult(account_id, error=_said(error))

    def _told(self, account_id: str) -> tuple[Told | None, str | None]:
        """The best that is known of the positions now, and why the broker itself did not tell it."""
        known = self._book.known(account_id)
        answer, error = self._answer(account_id)
        if answer is not None:
            # An answer without positions names no time and no broker: it is of now, from the account's own.
            broker = next((row.broker for row in answer), known.broker)
            as_of = max((row.as_of for row in answer), default=self._now())
            return Told(account_id, broker, as_of, _held(answer), broker.value) if broker else None, error
        if (captured := self._captured(account_id, known)) is not None:
            return captured, error
        if known.broker is None:
            return None, error
        stored = self._stored(account_id, known, known.broker)
        if known.book_at and known.book_source and (not stored or known.book_at > stored.as_of):
            # What is stored is older than what a broker told since: that stands, also if it cannot be asked now.
            held = _held_by_book(self._book.book(account_id))
            stored = Told(account_id, known.broker, known.book_at, held, known.book_source)
        return stored, error

    def _captured(self, account_id: str, known: Known) -> Told | None:
        """What the broker told beside the loads, if it is newer than what they stored and than the book."""
        snapshot = self._book.captured(account_id, known)
        if snapshot is None:
            return None
        try:
            rows = checked_positions(snapshot, self._now(), timedelta.max)
        except UnusableSnapshot as error:
            _log.warning("a snapshot is left alone: %s", error)
            return None
        held = {row["symbol"]: _held_in(row) for row in rows if row["qty"]}
        return Told(account_id, snapshot.broker, snapshot.captured_at, held, snapshot.source)

    def _stored(self, account_id: str, known: Known, broker: Broker) -> Told | None:
        """What the newest load of positions tells, or the ledger if there is none."""
        if known.snapshot_at is not None:
            held = _held(self._book.snapshot(account_id, known))
            return Told(account_id, broker, known.snapshot_at, held, broker.value)
        as_of = known.trades_at or known.moved_at
        held = _held_by_ledger(self._book.lives(account_id, ()))
        return Told(account_id, broker, as_of, held, LEDGER) if as_of else None

    def _answer(self, account_id: str) -> tuple[Sequence[BrokerPosition] | None, str | None]:
        if self._get_positions is None:
            return None, None
        try:
            answer = self._get_positions(account_id)
        # whatever the engine's own code raises: it did not tell, which is unknown and never flat
        except Exception as error:  # noqa: BLE001
            if not isinstance(error, BrokerError):
                _log.warning("the positions of %s were not told", account_id, exc_info=error)
            return None, _said(error)
        return answer, None if answer is not None else "the broker did not tell its positions"


def _said(error: Exception) -> str:
    """What an error says, and of which kind it is where it is none of this program's."""
    return str(error) if isinstance(error, ApexError) else f"{type(error).__name__}: {error}"


def _held_in(row: Mapping[str, Any]) -> Held:
    return Held(row["qty"], row["avg_cost"], row["unrealized_pnl"], row["currency"])


def _held(rows: Sequence[BrokerPosition]) -> dict[str, Held]:
    """Positions by symbol; of several rows the quantities and gains are added up, the cost is not known."""
    held: dict[str, Held] = {}
    for row in rows:
        other = held.get(row.symbol)
        if other is None:
            held[row.symbol] = Held(row.qty, row.average_cost, row.unrealized_pnl, row.currency)
        else:
            gain = _sum(other.unrealized, row.unrealized_pnl)
            held[row.symbol] = Held(other.qty + row.qty, None, gain, row.currency)
    return {symbol: one for symbol, one in held.items() if one.qty}


def _held_by_book(book: Sequence[BookPosition]) -> dict[str, Held]:
    rows = [row for row in book if row.status == OPEN]
    return {row.symbol: Held(row.quantity, row.entry_price, row.unrealized_pnl, row.currency) for row in rows}


def _held_by_ledger(lives: Sequence[Life]) -> dict[str, Held]:
    held: dict[str, Held] = {}
    for life in lives:
        other = held.get(life.trip.symbol)
        qty = life.held_qty + (other.qty if other else 0)
        held[life.trip.symbol] = Held(qty, None if other else life.trip.entry_price, None, life.trip.currency)
    return {symbol: one for symbol, one in held.items() if one.qty}


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other
