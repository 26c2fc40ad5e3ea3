"""The open lots of one instrument: what is left of each, in the order in which they are taken."""

from bisect import insort
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from apex_pipeline.domain.ledger import BasisSource, Lot, LotMethod, MovementKind, PositionMovement
from apex_pipeline.domain.lot_shares import ZERO, quotient, share, trimmed, trimmed_or_none
from apex_pipeline.domain.models import AssetClass, Broker

LAST = Decimal("Infinity")


class Basis(NamedTuple):
    """What some units of a lot are worth; `value` is signed like the lot and None where the basis is not known.

    cost = value + fees - carried.
    """

    value: Decimal | None
    fees: Decimal | None
    carried: Decimal

    def cost(self) -> Decimal | None:
        """The signed cost; fees that are not known count nothing."""
        return None if self.value is None else self.value + (self.fees or ZERO) - self.carried


class Piece(NamedTuple):
    """Units that leave a lot and what they are worth; `cost` is signed like the lot."""

    qty: Decimal
    open_price: Decimal | None
    open_fees: Decimal | None
    carried: Decimal
    cost: Decimal | None


class Mixed:
    """The common basis of units that lost their own: each costs the average of all that are left."""

    __slots__ = ("basis", "units")

    def __init__(self, units: Decimal, basis: Basis) -> None:
        self.units = units
        self.basis = basis

    def add(self, units: Decimal, basis: Basis) -> None:
        """Mix further units in; with them unknown, the basis of all is."""
        mine = self.basis
        value = None if mine.value is None or basis.value is None else mine.value + basis.value
        known = [fees for fees in (mine.fees, basis.fees) if fees is not None]
        self.basis = Basis(value, sum(known, ZERO) if known else None, mine.carried + basis.carried)
        self.units += units

    def take(self, units: Decimal) -> Basis:
        """The basis of `units` at the average; the rest keeps what is left to the last digit."""
        mine, whole = self.basis, self.units
        value = None if mine.value is None else share(mine.value, ZERO, units, whole)
        fees = None if mine.fees is None else share(mine.fees, ZERO, units, whole)
        taken = Basis(value, fees, share(mine.carried, ZERO, units, whole))
        self.units = whole - units
        self.basis = Basis(
            None if mine.value is None or value is None else mine.value - value,
            None if mine.fees is None or fees is None else mine.fees - fees,
            mine.carried - taken.carried,
        )
        return taken


@dataclass(slots=True, eq=False)
class OpenUnits:
    """A lot while it is open. `whole` and `taken` count its units; all else are columns of `Lot`.

    `mixed` holds the basis of the units left where averaging has replaced the lot's own.
    """

    lot_uid: str
    broker: Broker
    account_id: str
    instrument_id: str
    symbol: str
    underlying: str | None
    asset_class: AssetClass
    open_trade_uid: str | None
    origin: MovementKind
    opened_at: datetime | None
    opened_on: date
    started_on: date
    ordered_at: datetime
    place: int
    sequence: Decimal | None
    is_long: bool
    whole: Decimal
    taken: Decimal
    open_price: Decimal | None
    multiplier: Decimal | None
    fees: Decimal | None
    carried: Decimal
    currency: str | None
    method: LotMethod
    basis_source: BasisSource
    closed_at: datetime | None = None
    closed_on: date | None = None
    mixed: Mixed | None = None
    unit_value: Decimal | None = field(init=False, default=None)
    order: tuple[date, datetime, int, Decimal, str] = field(init=False)

    def __post_init__(self) -> None:
        sequence = LAST if self.sequence is None else self.sequence
        self.order = (self.opened_on, self.ordered_at, self.place, sequence, self.lot_uid)
        if self.open_price is not None and self.multiplier is not None:
            value = self.open_price * self.multiplier
            self.unit_value = value if self.is_long else -value

    def rest(self) -> Basis:
        """The basis of what is left."""
        if self.mixed is not None:
            return self.mixed.basis
        value = None if self.unit_value is None else (self.whole - self.taken) * self.unit_value
        fees = None if self.fees is None else share(self.fees, self.taken, self.whole, self.whole)
        return Basis(value, fees, share(self.carried, self.taken, self.whole, self.whole))

    def take(self, units: Decimal) -> Piece:
        """The next `units`, at the lot's own basis."""
        start, whole = self.taken, self.whole
        end = self.taken = start + units
        if self.mixed is not None:
            return self.priced(units, self.mixed.take(units))
        fees = None if self.fees is None else share(self.fees, start, end, whole)
        carried = share(self.carried, start, end, whole) if self.carried else ZERO
        cost = None
        if self.unit_value is not None:
            cost = units * self.unit_value + (fees or ZERO) - carried
        return Piece(units, self.open_price, fees, carried, cost)

    def priced(self, units: Decimal, basis: Basis) -> Piece:
        """A piece of mixed units: the average to 10 places, what that leaves out stands with the fees."""
        if basis.value is None or not self.multiplier:
            return Piece(units, None, basis.fees, basis.carried, basis.cost())
        size = units * self.multiplier if self.is_long else -units * self.multiplier
        price = quotient(basis.value, size)
        left = basis.value - size * price
        fees = (basis.fees or ZERO) + left if left else basis.fees
        return Piece(units, price, fees, basis.carried, basis.cost())

    def row(self) -> Lot:
        """The lot as it stands now."""
        qty = self.whole if self.is_long else -self.whole
        left = self.whole - self.taken
        cost = left_cost = None
        if self.unit_value is not None:
            cost = trimmed(self.whole * self.unit_value + (self.fees or ZERO) - self.carried)
            left_cost = trimmed_or_none(self.rest().cost()) if left else ZERO
        return Lot(
            self.lot_uid,
            self.broker,
            self.account_id,
            self.instrument_id,
            self.symbol,
            self.underlying,
            self.asset_class,
            self.open_trade_uid,
            self.origin,
            self.opened_at,
            self.opened_on,
            self.started_on,
            self.ordered_at,
            self.place,
            self.sequence,
            qty,
            self.open_price,
            self.multiplier,
            self.fees,
            self.carried,
            cost,
            trimmed(left if self.is_long else -left),
            left_cost,
            self.currency,
            self.closed_at,
            self.closed_on,
            self.method,
            self.basis_source,
        )


class Book:
    """The open lots of one instrument, all of them long or all short, first to be taken first."""

    __slots__ = ("lots", "pool", "units")

    def __init__(self) -> None:
        self.lots: deque[OpenUnits] = deque()
        self.units = ZERO
        self.pool: Mixed | None = None

    def add(self, lot: OpenUnits) -> None:
        """Put a lot in its place."""
        lots, units = self.lots, lot.whole - lot.taken
        if self.pool is not None:
            if lot.method is LotMethod.AVERAGE:
                self.pool.add(units, lot.rest())
            else:
                self.unmix()
        if lots and lot.order < lots[-1].order:
            ordered = list(lots)
            insort(ordered, lot, key=attrgetter("order"))
            self.lots = deque(ordered)
        else:
            lots.append(lot)
        self.units += units

    def take(
        self, units: Decimal, row: PositionMovement, method: LotMethod, chosen: Mapping[str, Decimal] | None = None
    ) -> list[tuple[OpenUnits, Piece]]:
        """Take `units`, no more than there are, first in first out; `chosen` lots (by uid of their opening) before."""
        self.units -= units
        if method is LotMethod.AVERAGE:
            self._mix()
        elif self.pool is not None:
            self.unmix()
        if chosen:
            return self._take_chosen(units, row, chosen)
        pieces: list[tuple[OpenUnits, Piece]] = []
        lots, pool = self.lots, self.pool
        while units:
            lot = lots[0]
            left = lot.whole - lot.taken
            qty = min(left, units)
            units -= qty
            if pool is None:
                pieces.append((lot, lot.take(qty)))
            else:
                lot.taken += qty
                pieces.append((lot, lot.priced(qty, pool.take(qty))))
            if qty == left:
                lot.closed_at, lot.closed_on = row.moved_at, row.business_date
                lots.popleft()
        if not lots:
            self.pool = None
        return pieces

    def _take_chosen(
        self, units: Decimal, row: PositionMovement, chosen: Mapping[str, Decimal]
    ) -> list[tuple[OpenUnits, Piece]]:
        """Each lot once: what was chosen of it and what the order gives of it are one piece."""
        plan = planned(self.lots, units, chosen)
        pieces: list[tuple[OpenUnits, Piece]] = []
        for lot, qty in plan:
            pieces.append((lot, lot.take(qty)))
            if lot.taken == lot.whole:
                lot.closed_at, lot.closed_on = row.moved_at, row.business_date
        self.lots = deque(lot for lot in self.lots if lot.closed_on is None)
        return pieces

    def _mix(self) -> None:
        if self.pool is None:
            self.pool = Mixed(ZERO, Basis(ZERO, None, ZERO))
            for lot in self.lots:
                self.pool.add(lot.whole - lot.taken, lot.rest())

    def unmix(self) -> None:
        """Give the lots what is left of the average, by quantity."""
        pool = self.pool
        if pool is None:
            return
        self.pool = None
        for lot in self.lots:
            units = lot.whole - lot.taken
            lot.mixed = Mixed(units, pool.take(units))


def planned(
    lots: Iterable[OpenUnits], units: Decimal, chosen: Mapping[str, Decimal]
) -> list[tuple[OpenUnits, Decimal]]:
    """How many units to take of which lots, in their order: what was chosen, then the first of what is left."""
    wanted = dict(chosen)
    takes: dict[str, Decimal] = {}
    open_lots = list(lots)
    for lot in open_lots:
        for uid in (lot.open_trade_uid, lot.lot_uid):
            free = lot.whole - lot.taken - takes.get(lot.lot_uid, ZERO)
            qty = min(wanted.get(uid or "", ZERO), free, units)
            if uid and qty > 0:
                takes[lot.lot_uid] = takes.get(lot.lot_uid, ZERO) + qty
                wanted[uid] -= qty
                units -= qty
    for lot in open_lots:
        qty = min(lot.whole - lot.taken - takes.get(lot.lot_uid, ZERO), units)
        if qty > 0:
            takes[lot.lot_uid] = takes.get(lot.lot_uid, ZERO) + qty
            units -= qty
    return [(lot, takes[lot.lot_uid]) for lot in open_lots if lot.lot_uid in takes]
