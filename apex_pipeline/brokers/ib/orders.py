"""Order rows built from executions: Flex tells executions, and of orders only what they share.

An order's ORDER row, where the query delivers one, adds quantity and type; alone it makes no order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import reduce

from apex_pipeline.brokers.ib.attributes import EXACT, Attributes
from apex_pipeline.brokers.ib.trades import combo_stem
from apex_pipeline.domain.models import Broker, Order, OrderStatus, Side, Trade
from apex_pipeline.domain.records import Record
from apex_pipeline.errors import UnknownPayload

_AVERAGE_PLACES = Decimal("1E-12")


@dataclass(frozen=True, slots=True)
class Execution:
    """A trade row and the record it was made of."""

    trade: Trade
    record: Record


SOURCE = "ib_executions"


def orders_of(executions: Sequence[Execution], order_rows: Mapping[str, Record]) -> Iterator[Order]:
    """One order for each order id among the executions. `order_rows`: ORDER records by order_uid."""
    groups: dict[str, list[Execution]] = {}
    for execution in executions:
        if execution.trade.order_uid is not None:
            groups.setdefault(execution.trade.order_uid, []).append(execution)
    for uid, members in groups.items():
        ordered = sorted(members, key=_moment)
        yield _order(uid, ordered, order_rows.get(uid))


def _order(uid: str, members: Sequence[Execution], order_row: Record | None) -> Order:
    effective = [item.trade for item in members if item.trade.effective]
    lead = next((item for item in members if item.trade.effective), members[0])
    trade, row = lead.trade, Attributes(lead.record)
    filled = _total([item.qty for item in effective])
    stamps = [stamp for item in members if (stamp := item.trade.executed_at)]
    return Order(
        order_uid=uid,
        broker=Broker.IB,
        account_id=trade.account_id,
        broker_order_id=row.required("ibOrderID"),
        market=trade.market,
        symbol=trade.symbol,
        underlying=trade.underlying,
        asset_class=trade.asset_class,
        side=_side(members),
        position_effect=_shared_effect(effective or [trade]),
        order_type=row.text("orderType") or (Attributes(order_row).text("orderType") if order_row else None),
        status=OrderStatus.FILLED if filled else OrderStatus.CANCELLED,
        broker_status=None,
        qty=_ordered_quantity(order_row) or filled,
        filled_qty=filled,
        limit_price=None,
        avg_price=_average(effective, filled),
        currency=trade.currency,
        multiplier=trade.multiplier,
        created_at=_placed_at(members) or min(stamps, default=None),
        updated_at=max(stamps, default=None),
        trade_date=min(item.trade.trade_date for item in members),
        combo_id=combo_stem(row),
        legs=None,
        declared_strategy=None,
        remark=row.text("orderReference"),
        source=SOURCE,
    )


def _moment(item: Execution) -> tuple[str, int, str]:
    stamp = item.trade.executed_at
    return stamp.isoformat() if stamp else "", len(item.record.key), item.record.key


def _side(members: Sequence[Execution]) -> Side:
    """The order's direction; a cancel goes the opposite way of the order it belongs to."""
    own = [item.trade for item in members if item.trade.kind != "CANCEL"]
    if own:
        return own[0].side
    return Side.SELL if members[0].trade.side is Side.BUY else Side.BUY


def _shared_effect(trades: Sequence[Trade]) -> str | None:
    effects = {trade.position_effect for trade in trades}
    return effects.pop() if len(effects) == 1 else ("CLOSE_OPEN" if effects == {"OPEN", "CLOSE"} else None)


def _total(values: Sequence[Decimal]) -> Decimal:
    return reduce(EXACT.add, values, Decimal(0))


def _average(trades: Sequence[Trade], filled: Decimal) -> Decimal | None:
    """The price weighted by quantity, to twelve places; the exact price where all fills agree."""
    if not filled:
        return None
    prices = {trade.price for trade in trades}
    if len(prices) == 1:
        return prices.pop()
    value = _total([EXACT.multiply(trade.qty, trade.price) for trade in trades])
    return EXACT.quantize(EXACT.divide(value, filled), _AVERAGE_PLACES)


def _ordered_quantity(order_row: Record | None) -> Decimal | None:
    """The quantity of an ORDER row; unreadable is unknown, because the row only enriches."""
    if order_row is None:
        return None
    try:
        quantity = Attributes(order_row).number("quantity")
    except UnknownPayload:
        return None
    return abs(quantity) if quantity else None


def _placed_at(members: Sequence[Execution]) -> datetime | None:
    """The earliest orderTime; an unreadable one is unknown."""
    found: list[datetime] = []
    for item in members:
        try:
            stamp = Attributes(item.record).instant("orderTime")
        except UnknownPayload:
            continue
        if stamp is not None:
            found.append(stamp)
    return min(found, default=None)
