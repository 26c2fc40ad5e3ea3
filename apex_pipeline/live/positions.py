"""The current book: what an engine believes it holds, kept in step with the brokers and named by the ledger.

A broker that answers is believed; while none does, the newest snapshot that is stored, and without any the ledger. What
is not known is never taken for flat. The comparing itself is in `live.book`; here are its sources and its clock.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from apex_pipeline.domain.ledger import BookPosition
from apex_pipeline.domain.models import Broker, BrokerPosition
from apex_pipeline.errors import BrokerError, StorageError
from apex_pipeline.live.book import OPEN, Difference, Held, Told, compared
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.book import LEDGER, BookRepository, Known, Life

GetPositions = Callable[[str], Sequence[BrokerPosition] | None]
"""Asks a broker for the positions of an account: all of them, or None if it cannot tell now."""

_log = logging.getLogger("apex_pipeline.positions")


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What comparing the book with its source did.

    `source`: the broker that told, or LEDGER; None if nothing is known of the account and nothing was done. `as_of`:
    when that was told (UTC), and `age_seconds` how long ago. `differences`: symbols whose quantity in the book, as it
    was, is not what was told. `error`: why the broker was not asked with success, if it was asked.
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
    BrokerError, the newest stored snapshot is taken instead.
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
        with self._syncing:
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
        """Sync every account that anything is known of."""
        return {account_id: self.sync_positions(account_id) for account_id in self._book.accounts()}

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
            except StorageError as error:  # the next round tries again
                _log.warning("positions were not synced: %s", error)
            self._wake.wait(interval)
            self._wake.clear()

    def _told(self, account_id: str) -> tuple[Told | None, str | None]:
        """The best that is known of the positions now, and why the broker itself did not tell it."""
        known = self._book.known(account_id)
        answer, error = self._answer(account_id)
        if answer is not None:
            # An answer without positions names no time and no broker: it is of now, from the account's own.
            broker = next((row.broker for row in answer), known.broker)
            as_of = max((row.as_of for row in answer), default=self._now())
            return Told(account_id, broker, as_of, _held(answer), broker.value) if broker else None, error
        if known.broker is None:
            return None, error
        stored = self._stored(account_id, known, known.broker)
        if known.book_at and known.book_source and (not stored or known.book_at > stored.as_of):
            # What is stored is older than what a broker told since: that stands, also if it cannot be asked now.
            held = _held_by_book(self._book.book(account_id))
            stored = Told(account_id, known.broker, known.book_at, held, known.book_source)
        return stored, error

    def _stored(self, account_id: str, known: Known, broker: Broker) -> Told | None:
        """What the newest snapshot tells, or the ledger if there is none."""
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
        except BrokerError as error:
            return None, str(error)
        return answer, None if answer is not None else "the broker did not tell its positions"


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
