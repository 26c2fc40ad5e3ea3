"""Corporate actions: what one of them does to the lots, or that no rule covers it and the ledger must stop."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from apex_pipeline.domain.ledger import Action, BasisSource, LotMethod, LotMove, MovementKind, PositionMovement
from apex_pipeline.domain.lot_book import OpenUnits
from apex_pipeline.domain.lot_shares import ZERO, quotient, share, trimmed, trimmed_or_none

_UNIT_PLACES = 8  # what brokers keep of a share


@dataclass(slots=True)
class Event:
    """The rows of one corporate action on one day, in order. A row and its reversal come to nothing."""

    rows: list[PositionMovement] = field(default_factory=list[PositionMovement])

    def deltas(self) -> dict[str, Decimal]:
        """The signed change of every instrument whose quantity changes."""
        sums: dict[str, Decimal] = {}
        for row in self.rows:
            sums[row.instrument_id] = sums.get(row.instrument_id, ZERO) + row.qty
        return {instrument: qty for instrument, qty in sums.items() if qty}

    def action(self) -> Action:
        """What all rows say it is."""
        actions = {row.action for row in self.rows}
        return (actions.pop() if len(actions) == 1 else None) or Action.UNKNOWN

    def money(self) -> Decimal | None:
        """What it paid in all; None if a row that moves a quantity does not tell."""
        if any(row.money is None and row.qty for row in self.rows):
            return None
        return sum((row.money for row in self.rows if row.money is not None), ZERO)

    def row_of(self, instrument_id: str, delta: Decimal) -> PositionMovement:
        """The first row that changes the instrument in the direction of the whole; its uid names what is made."""
        return next(row for row in self.rows if row.instrument_id == instrument_id and row.qty * delta > 0)


@dataclass(frozen=True, slots=True)
class Convert:
    """The lots of `source` become `units` units of the instrument of `row`."""

    source: str
    row: PositionMovement
    units: Decimal


@dataclass(frozen=True, slots=True)
class PayOut:
    """Lots are closed for money: `row` has its price, and in its fees what the price leaves out."""

    row: PositionMovement


@dataclass(frozen=True, slots=True)
class Stop:
    """No rule covers the action."""

    code: str
    reason: str


def events_of(rows: Iterable[PositionMovement]) -> dict[str, Event]:
    """The corporate actions by the uid of each of their rows; `rows` in order."""
    events: dict[tuple[str, date], Event] = {}
    by_uid: dict[str, Event] = {}
    for row in rows:
        if row.kind is MovementKind.CORPORATE_ACTION:
            event = events.setdefault((row.link_id or row.movement_uid, row.business_date), Event())
            event.rows.append(row)
            by_uid[row.movement_uid] = event
    return by_uid


def effect_of(
    event: Event, held: Callable[[str], Decimal], multiplier: Callable[[str], Decimal | None], stopped: Collection[str]
) -> Convert | PayOut | Stop | None:
    """What the action does; None for nothing.

    `held` and `multiplier` tell the signed position and the multiplier of the open lots of an instrument, and
    `stopped` those of which the lots are not known.
    """
    deltas = event.deltas()
    if not deltas:
        return None
    if any(instrument in stopped for instrument in deltas):
        return Stop("STOPPED_BEFORE", "the lots of an instrument of this action are not known")
    action, money = event.action(), event.money()
    if action is Action.MERGER and len(deltas) == 1:
        return _payout(event, deltas, held, multiplier, money)
    if action is Action.UNTOLD:
        return Stop(
            "TYPE_NOT_TOLD", "the statement does not tell what the action is: add the field `type` to the query"
        )
    if action is not Action.SPLIT and action is not Action.SYMBOL_CHANGE:
        return Stop(
            f"{action}_WITHOUT_RULE", f"no rule covers a corporate action {action} over {len(deltas)} instruments"
        )
    if money:
        return Stop(f"{action}_WITH_MONEY", f"{action} that pays {money}: how it changes the basis is not known")
    return _conversion(event, deltas, held)


def _conversion(event: Event, deltas: dict[str, Decimal], held: Callable[[str], Decimal]) -> Convert | Stop:
    action = event.action()
    if len(deltas) > 2:
        return Stop(f"{action}_OF_MANY", f"{action} over {len(deltas)} instruments")
    source, target = min(deltas, key=lambda one: deltas[one] * held(one)), ""
    target = next((one for one in deltas if one != source), source)
    before, delta = held(source), deltas[source]
    if not before:
        return Stop("NOTHING_HELD", f"{action} changes {source} by {delta}, of which nothing is held")
    units = before + delta if target == source else deltas[target]
    if target != source and held(target) * before < 0:
        return Stop("OTHER_SIDE_HELD", f"{action} brings {units} of {target}, of which {held(target)} are held")
    if target != source and before + delta:
        return Stop("REMOVED_IS_NOT_HELD", f"{action} removes {delta} of {source}, of which {before} are held")
    if units * before <= 0:
        return Stop("SIDE_WOULD_CHANGE", f"{action} would turn {before} of {source} into {units} of {target}")
    row = event.row_of(target, deltas[target])
    told = {one.currency for one in event.rows if one.currency is not None}
    if len(told) > 1:
        return Stop("CURRENCY_CHANGE", f"{action} between currencies {', '.join(sorted(told))}")
    return Convert(source, row, abs(units))


def _payout(
    event: Event,
    deltas: dict[str, Decimal],
    held: Callable[[str], Decimal],
    multiplier: Callable[[str], Decimal | None],
    money: Decimal | None,
) -> PayOut | Stop:
    [(instrument, delta)] = deltas.items()
    before = held(instrument)
    if not money or money * delta > 0:
        return Stop(
            "MERGER_WITHOUT_MONEY", f"MERGER takes {delta} of {instrument} for {'unknown' if money is None else money}"
        )
    if before * delta >= 0 or abs(delta) > abs(before):
        return Stop("REMOVED_IS_NOT_HELD", f"MERGER takes {delta} of {instrument}, of which {before} are held")
    row = event.row_of(instrument, delta)
    factor = multiplier(instrument) or row.multiplier
    if not factor:
        return PayOut(replace(row, qty=delta, price=None, multiplier=None, fees=None))
    size = -delta * factor
    price = quotient(money, size)
    told = [one.fees for one in event.rows if one.fees is not None]
    fees = size * price - money + sum(told, ZERO)
    return PayOut(replace(row, qty=delta, price=price, multiplier=factor, fees=fees))


def converted(lots: Iterable[OpenUnits], effect: Convert, method: LotMethod) -> list[tuple[LotMove, OpenUnits]] | None:
    """The lots after a conversion, each with the move that led to it; None if one of them were too small to tell.

    Units are shared out to 8 places and cost is carried over to the last digit: the price to 10 places, what that
    leaves out in `carried_pnl`.
    """
    lots = list(lots)
    whole = sum((lot.whole - lot.taken for lot in lots), ZERO)
    made: list[tuple[LotMove, OpenUnits]] = []
    start = ZERO
    for lot in lots:
        end = start + lot.whole - lot.taken
        units = share(effect.units, start, end, whole, _UNIT_PLACES)
        if units <= 0:
            return None
        new = _converted(lot, effect.row, units, method)
        made.append((left(lot, effect.row, lot.whole - lot.taken, lot.rest().cost(), new.lot_uid), new))
        start = end
    return made


def _converted(lot: OpenUnits, row: PositionMovement, units: Decimal, method: LotMethod) -> OpenUnits:
    basis, multiplier = lot.rest(), row.multiplier or lot.multiplier
    price, carried = None, basis.carried
    if basis.value is not None and multiplier:
        size = units * multiplier if lot.is_long else -units * multiplier
        price = quotient(basis.value, size)
        carried += size * price - basis.value
    return OpenUnits(
        lot_uid=f"{lot.lot_uid}>{row.movement_uid}",
        broker=row.broker,
        account_id=row.account_id,
        instrument_id=row.instrument_id,
        symbol=row.symbol,
        underlying=row.underlying,
        asset_class=row.asset_class,
        open_trade_uid=lot.open_trade_uid,
        origin=MovementKind.CORPORATE_ACTION,
        opened_at=lot.opened_at,
        opened_on=lot.opened_on,
        started_on=row.business_date,
        ordered_at=lot.ordered_at,
        place=lot.place,
        sequence=lot.sequence,
        is_long=lot.is_long,
        whole=trimmed(units),
        taken=ZERO,
        open_price=trimmed_or_none(price),
        multiplier=trimmed_or_none(multiplier),
        fees=trimmed_or_none(basis.fees),
        carried=trimmed(carried),
        currency=row.currency or lot.currency,
        method=method,
        basis_source=lot.basis_source if price is not None else BasisSource.UNKNOWN,
    )


def left(
    lot: OpenUnits, row: PositionMovement, units: Decimal, cost: Decimal | None, to_lot_uid: str | None = None
) -> LotMove:
    """The row of units that leave a lot without a gain."""
    return LotMove(
        move_uid=f"{row.movement_uid}:{lot.lot_uid}",
        broker=lot.broker,
        account_id=lot.account_id,
        instrument_id=lot.instrument_id,
        lot_uid=lot.lot_uid,
        to_lot_uid=to_lot_uid,
        movement_uid=row.movement_uid,
        moved_on=row.business_date,
        qty=trimmed(units if lot.is_long else -units),
        cost_basis=trimmed_or_none(cost),
    )
