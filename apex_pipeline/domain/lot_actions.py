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

    def told_cost(self) -> Decimal | None:
        """The basis that the broker set against the money, in all; None if a row does not tell."""
        told = [row.broker_cost for row in self.rows if row.broker_cost is not None]
        return sum(told, ZERO) if len(told) == len(self.rows) else None

    def row_of(self, instrument_id: str, delta: Decimal) -> PositionMovement:
        """The first row that changes the instrument in the direction of the whole; its uid names what is made."""
        return next(row for row in self.rows if row.instrument_id == instrument_id and row.qty * delta > 0)


@dataclass(frozen=True, slots=True)
class Convert:
    """The lots of `source` become `units` units of the instrument of `row`.

    `paid_by`: the row that takes the lots, where the action may pay; `money` is what it paid, and `spent` the part of
    the basis that went with it, signed like the lots.
    """

    source: str
    row: PositionMovement
    units: Decimal
    paid_by: PositionMovement | None = None
    money: Decimal = ZERO
    spent: Decimal = ZERO


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
    if action is Action.MERGER and len(deltas) == 2 and money is not None:
        return _exchange(event, _conversion(event, deltas, held), money)
    if action is not Action.SPLIT and action is not Action.SYMBOL_CHANGE:
        return Stop(
            f"{action}_WITHOUT_RULE", f"no rule covers a corporate action {action} over {len(deltas)} instruments"
        )
    effect = _conversion(event, deltas, held)
    return _exchange(event, effect, money) if money else effect


def _exchange(event: Event, effect: Convert | Stop, money: Decimal) -> Convert | Stop:
    """Shares for shares, and maybe money: the new ones cost what the old ones did, less what went with the money.

    The broker's own gain of the action proves how much that is: money less gain. So it holds whether it counts the
    whole as sold, only the money, or nothing.
    """
    if isinstance(effect, Stop):
        return effect
    spent = event.told_cost()
    if spent is None or (money and spent == money):
        reason = f"{event.action()} pays {money}, and the broker does not tell what of it is a gain"
        return Stop(f"{event.action()}_WITHOUT_GAIN", reason)
    paid_by = event.row_of(effect.source, event.deltas()[effect.source])
    return replace(effect, paid_by=paid_by, money=money, spent=spent)


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
    before, told_cost = held(instrument), event.told_cost()
    if told_cost == money:  # no gain at all: the broker writes 0 where it does not know
        told_cost = None
    # Without money it must be the broker's own loss that says that nothing was paid.
    if money is None or money * delta > 0 or not (money or told_cost):
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
    return PayOut(replace(row, qty=delta, price=price, multiplier=factor, fees=fees, broker_cost=told_cost))


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
        spent = share(effect.spent, start, end, whole)
        new = _converted(lot, effect.row, units, spent, method)
        cost = lot.rest().cost()
        cost = None if cost is None else cost - spent
        made.append((left(lot, effect.row, lot.whole - lot.taken, cost, new.lot_uid), new))
        start = end
    return made


def _converted(lot: OpenUnits, row: PositionMovement, units: Decimal, spent: Decimal, method: LotMethod) -> OpenUnits:
    basis, multiplier = lot.rest(), row.multiplier or lot.multiplier
    price, carried = None, basis.carried
    if basis.value is not None and multiplier:
        value, size = basis.value - spent, units * multiplier if lot.is_long else -units * multiplier
        price = quotient(value, size)
        carried += size * price - value
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
