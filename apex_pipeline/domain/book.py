"""How a book of positions is compared with what was told: a pure function of both and of the ledger."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from apex_pipeline.domain.ledger import BookPosition, RoundTrip
from apex_pipeline.domain.models import Broker

OPEN, CLOSED = "OPEN", "CLOSED"
LEDGER = "LEDGER"
"""The source of what the ledger says, and of rows that it writes and keeps to itself."""


@dataclass(frozen=True, slots=True)
class Life:
    """A position as the ledger knows it; `held_qty` is signed, and 0 once it is closed."""

    trip: RoundTrip
    held_qty: Decimal


@dataclass(frozen=True, slots=True)
class Held:
    """What is held in one symbol. `qty` is signed; `cost` is per share or unit of the underlying."""

    qty: Decimal
    cost: Decimal | None
    unrealized: Decimal | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """All positions of an account at `as_of`, as its broker or the ledger tells them (`source`)."""

    account_id: str
    broker: Broker
    as_of: datetime
    held: Mapping[str, Held]
    source: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A symbol of which the book held another quantity than was told; `ledger_qty` is what follows from the trades."""

    symbol: str
    book_qty: Decimal
    broker_qty: Decimal
    ledger_qty: Decimal


@dataclass(slots=True)
class Change:
    """What the book is to become: rows to write, and names of rows that go because the ledger named them anew."""

    rows: list[BookPosition] = field(default_factory=list[BookPosition])
    gone: list[str] = field(default_factory=list[str])
    created: int = 0
    updated: int = 0
    closed: int = 0
    differences: tuple[Difference, ...] = ()


def compared(book: Sequence[BookPosition], told: Told, lives: Sequence[Life]) -> Change:
    """What brings the book of an account to what was told.

    `book`: its open positions, and closed ones of unknown outcome, which the ledger may know by now. What the ledger
    has never heard of it cannot end: without a broker such a position stays.
    """
    known = {life.trip.trade_id: life.trip for life in lives}
    in_ledger = {life.trip.symbol: life for life in lives if life.trip.status == OPEN}
    change = Change()
    current: dict[str, BookPosition] = {}
    for row in sorted(book, key=lambda row: row.position_id):
        life, held = in_ledger.get(row.symbol), told.held.get(row.symbol)
        if row.status == CLOSED:
            _learn(change, row, known.get(row.position_id))
        elif held is not None and row.symbol not in current and _goes_on(row, held, life, known):
            current[row.symbol] = row
        elif told.source != LEDGER or row.position_id in known:
            change.rows.append(_closed(row, told, known.get(row.position_id)))
            change.closed += 1
    for symbol, held in told.held.items():
        life = in_ledger.get(symbol)
        trip = life.trip if life is not None and life.held_qty * held.qty > 0 else None
        _hold(change, current.get(symbol), _wanted(symbol, held, told, trip, current.get(symbol)))
    change.differences = tuple(_differences(book, told, in_ledger))
    return change


def _goes_on(row: BookPosition, held: Held, life: Life | None, known: Mapping[str, RoundTrip]) -> bool:
    """Whether an open row of the book is the position that is held now, not one before it."""
    if row.quantity * held.qty <= 0:
        return False
    named = known.get(row.position_id)
    return named is None or named.status == OPEN or life is None


def _wanted(symbol: str, held: Held, told: Told, trip: RoundTrip | None, row: BookPosition | None) -> BookPosition:
    """The row that the book should hold of a position."""
    seen = row.opened_at if row is not None and row.opened_at else told.as_of
    name = row.position_id if row is not None else f"{told.broker}_{told.account_id}_{symbol}@{seen.isoformat()}"
    entry = row.entry_price if row is not None and held.cost is None else held.cost
    return BookPosition(
        position_id=trip.trade_id if trip else name,
        broker=told.broker,
        account_id=told.account_id,
        symbol=symbol,
        quantity=held.qty,
        entry_price=trip.entry_price if trip and trip.entry_price is not None else entry,
        exit_price=None,
        status=OPEN,
        unrealized_pnl=held.unrealized,
        realized_pnl=trip.realized_pnl if trip else None,
        currency=held.currency or (trip.currency if trip else None),
        opened_at=trip.entry_at if trip and trip.entry_at else seen,
        closed_at=None,
        synced_at=told.as_of,
        source=told.source,
    )


def _hold(change: Change, row: BookPosition | None, wanted: BookPosition) -> None:
    if row is None:
        change.created += 1
    else:
        if row.position_id != wanted.position_id:
            change.gone.append(row.position_id)
        change.updated += replace(wanted, synced_at=row.synced_at) != row
    change.rows.append(wanted)


def _closed(row: BookPosition, told: Told, trip: RoundTrip | None) -> BookPosition:
    """A row of the book that is not held any more; its quantity stays what was held last."""
    ended = replace(
        row,
        status=CLOSED,
        unrealized_pnl=None,
        realized_pnl=None,
        closed_at=told.as_of,
        synced_at=told.as_of,
        source=told.source,
    )
    return _ended(ended, trip) if trip is not None and trip.status == CLOSED else ended


def _ended(row: BookPosition, trip: RoundTrip) -> BookPosition:
    return replace(
        row,
        exit_price=trip.exit_price if trip.exit_price is not None else row.exit_price,
        realized_pnl=trip.realized_pnl if trip.realized_pnl is not None else row.realized_pnl,
        closed_at=trip.exit_at or row.closed_at,
    )


def _learn(change: Change, row: BookPosition, trip: RoundTrip | None) -> None:
    """A position that was closed before the ledger knew how."""
    if trip is None or trip.status != CLOSED:
        return
    learnt = _ended(row, trip)
    if learnt != row:
        change.rows.append(learnt)
        change.updated += 1


def _differences(book: Iterable[BookPosition], told: Told, in_ledger: Mapping[str, Life]) -> Iterable[Difference]:
    held: dict[str, Decimal] = {}
    for row in book:
        if row.status == OPEN:
            held[row.symbol] = held.get(row.symbol, Decimal(0)) + row.quantity
    for symbol in sorted(held.keys() | told.held.keys()):
        of_book = held.get(symbol, Decimal(0))
        of_broker = told.held[symbol].qty if symbol in told.held else Decimal(0)
        if of_book != of_broker:
            life = in_ledger.get(symbol)
            yield Difference(symbol, of_book, of_broker, life.held_qty if life else Decimal(0))
