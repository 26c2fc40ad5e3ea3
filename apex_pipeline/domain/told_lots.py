"""What a broker told of a lot over many days, put together: what was left of it when first shown, and what had left.

Quantities are signed, costs carry the sign of their quantity. Units are those of the day from which on the lot counts:
what is told after a split or a change of contract is scaled back, its cost is not. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import reduce
from zoneinfo import ZoneInfo

from apex_pipeline.domain.lot_units import Conversions, rescaled
from apex_pipeline.domain.statements import BrokerLot, ClosedLot

EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
NEW_YORK = ZoneInfo("America/New_York")
_PLACES = Decimal(1).scaleb(-10)
_CENT = Decimal("0.01")
_RELATIVE = Decimal("0.000001")
_ZERO = Decimal(0)
_EARLIEST = datetime.min.replace(tzinfo=UTC)

Identity = tuple[str, str, str, datetime | None, Decimal | None]
"""Account, instrument and the id of the opening trade; without an id, when and at what price it was opened."""


@dataclass(frozen=True, slots=True)
class Part:
    """Units that were left, or had left, on a day, as what they were told, and their cost."""

    on_date: date
    instrument: str
    qty: Decimal
    cost: Decimal | None


@dataclass(slots=True)
class ToldLot:
    """One identity with all that the broker told of it: what was left on the first day that shows it, and pieces.

    `origin` is the instrument as which it was opened, `sample` a row that tells it.
    """

    sample: BrokerLot | ClosedLot
    sign: int
    origin: str
    units: Conversions
    shown_on: date | None = None
    left: list[Part] = field(default_factory=list[Part])
    pieces: list[Part] = field(default_factory=list[Part])
    prices: list[tuple[date, str, Decimal]] = field(default_factory=list[tuple[date, str, Decimal]])

    @property
    def opened_on(self) -> date | None:
        """The day in New York on which it was opened; None if that is not told."""
        return opened_on(self.sample)

    @property
    def order(self) -> tuple[datetime, str]:
        """The oldest lot comes first."""
        return self.sample.opened_at or _EARLIEST, self.sample.open_trade_id or ""

    @property
    def first_day(self) -> date:
        """The first day that tells anything of it."""
        return min((part.on_date for part in (*self.left, *self.pieces)), default=self.sample.business_date)

    def seen_before(self, day: date) -> bool:
        """Whether it was held or closed before a day."""
        return self.first_day < day

    def is_scaled(self, since: date) -> bool:
        """Whether its units have another size now than on a day."""
        return any(self.units.between(part.instrument, since, part.on_date) for part in (*self.left, *self.pieces))

    def price(self, since: date) -> Decimal | None:
        """The price at which a unit of that day was opened, by the earliest row that tells it."""
        if not self.prices:
            return None
        on_date, instrument, price = min(self.prices, key=lambda told: told[0])
        ratio = self.units.ratio(instrument, self.origin, on_date, since)
        return None if ratio is None else rescaled(price, (ratio[1], ratio[0]))

    def qty(self, since: date, *, same_day: bool) -> Decimal | None:
        """Units at the start of a day; None where a ratio is not known."""
        return self._units((*self.left, *self._counted(same_day=same_day)), since)

    def gone(self, since: date) -> Decimal:
        """Units that pieces told under the first contract say to have left, however late."""
        return self._units([part for part in self.pieces if part.instrument == self.origin], since) or _ZERO

    def cost(self, since: date, *, same_day: bool) -> Decimal | None:
        """Cost at the start; by the unit cost of what was shown where the pieces tell another one."""
        pieces = self._counted(same_day=same_day)
        costs = [part.cost for part in pieces if part.cost is not None]
        whole = len(costs) == len(pieces)
        left = self._units(self.left, since)
        if not left:
            return total(costs) if whole else None
        left_costs = [part.cost for part in self.left if part.cost is not None]
        qty = self.qty(since, same_day=same_day)
        if len(left_costs) < len(self.left) or qty is None:
            return None
        unit_based = product(total(left_costs), qty, left)
        summed = total((*left_costs, *costs))
        leeway = _CENT * (len(pieces) + len(self.left)) + abs(unit_based) * _RELATIVE
        return summed if whole and abs(summed - unit_based) <= leeway else unit_based

    def _counted(self, *, same_day: bool) -> list[Part]:
        """The pieces that had left when it was first shown; all of them if it never was."""
        shown = self.shown_on
        if shown is None:
            return self.pieces
        return [part for part in self.pieces if part.on_date < shown or (same_day and part.on_date == shown)]

    def _units(self, parts: Iterable[Part], since: date) -> Decimal | None:
        found: list[Decimal] = []
        for part in parts:
            ratio = self.units.ratio(part.instrument, self.origin, part.on_date, since)
            if ratio is None:
                return None
            found.append(rescaled(part.qty, ratio))
        return total(found)


def opened_on(lot: BrokerLot | ClosedLot) -> date | None:
    """The day in New York on which a told lot was opened; None if that is not told."""
    return None if lot.opened_at is None else lot.opened_at.astimezone(NEW_YORK).date()


def instrument_of(lot: BrokerLot | ClosedLot) -> str:
    """The instrument as which a lot is told."""
    return lot.instrument_id or lot.symbol


def identity_of(lot: BrokerLot | ClosedLot, origin: str) -> Identity:
    """What tells a lot from another of its account."""
    if lot.open_trade_id:
        return lot.account_id, origin, lot.open_trade_id, None, None
    return lot.account_id, origin, "", lot.opened_at, lot.open_price


def show(found: dict[Identity, ToldLot], lot: BrokerLot, origin: str, units: Conversions) -> None:
    """Take an open lot; lots come in the order of their days, and the first day that shows an identity counts."""
    if not lot.qty:
        return
    blank = ToldLot(lot, 1 if lot.qty > 0 else -1, origin, units)
    own = found.setdefault(identity_of(lot, origin), blank)
    if own.shown_on is None:
        own.shown_on = lot.business_date
    if own.shown_on == lot.business_date:
        own.left.append(Part(lot.business_date, instrument_of(lot), lot.qty, lot.cost_basis))
        _price(own, lot)


def close(
    found: dict[Identity, ToldLot], piece: ClosedLot, multiplier: Decimal | None, origin: str, units: Conversions
) -> None:
    """Take a closed piece; it tells a quantity without a sign: what a sale closes was long."""
    sign = {"SELL": 1, "BUY": -1}.get((piece.broker_side or "").upper()[:4].strip(), 0)
    if not sign or not piece.qty:
        return
    own = found.setdefault(identity_of(piece, origin), ToldLot(piece, sign, origin, units))
    qty = abs(piece.qty) * sign
    own.pieces.append(Part(piece.business_date, instrument_of(piece), qty, _signed_cost(piece, qty, multiplier)))
    _price(own, piece)


def without_doubles(lots: Iterable[ToldLot]) -> list[ToldLot]:
    """The lots but those without an id that were shown before, at the price before a conversion."""
    told = list(lots)
    return [lot for lot in told if not any(_is_again(lot, other) for other in told)]


def _is_again(lot: ToldLot, other: ToldLot) -> bool:
    if lot.sample.open_trade_id or other.sample.open_trade_id or other.shown_on is None:
        return False
    same = lot.sample.opened_at == other.sample.opened_at and lot.sign == other.sign
    told_as = instrument_of(lot.sample)
    return same and lot.first_day > other.shown_on and lot.units.between(told_as, other.shown_on, lot.first_day)


def _price(own: ToldLot, lot: BrokerLot | ClosedLot) -> None:
    if lot.open_price is not None:
        own.prices.append((lot.business_date, instrument_of(lot), lot.open_price))


def _signed_cost(piece: ClosedLot, qty: Decimal, multiplier: Decimal | None) -> Decimal | None:
    """The cost with the sign of its quantity: whichever sign lies nearer to quantity times price."""
    cost = piece.cost_basis
    if cost is None or piece.open_price is None or multiplier is None:
        return None if cost is None else abs(cost).copy_sign(qty)
    expected = EXACT.multiply(EXACT.multiply(qty, piece.open_price), multiplier)
    other = cost.copy_negate()
    return other if abs(other - expected) < abs(cost - expected) else cost


def part_of(cost: Decimal | None, part: Decimal, whole: Decimal) -> Decimal | None:
    """The cost of a part of the units."""
    return cost if cost is None or part == whole else product(cost, part, whole)


def product(cost: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """cost x part / whole to ten places."""
    return rounded(EXACT.divide(EXACT.multiply(cost, part), whole))


def rounded(value: Decimal) -> Decimal:
    """To ten places, half away from zero."""
    return EXACT.quantize(value, _PLACES)


def total(values: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    return reduce(EXACT.add, values, _ZERO)
