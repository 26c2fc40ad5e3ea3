"""What the stored records of an account say about their own completeness. Pure.

An answer of OpenD can lack rows without any error, so nothing is believed for having come: the deals of an
order must sum to what the order says is filled, a deal must have its order, and a filled order its fee.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from apex_pipeline.brokers.futu import amounts, market_time, vocabulary
from apex_pipeline.brokers.futu.plan import DEALS, ORDERS
from apex_pipeline.domain.models import OrderStatus
from apex_pipeline.domain.records import Audit, Record, RecordKind
from apex_pipeline.errors import UnknownPayload

FIELDS = (
    "orderStatus", "fillQty", "updateTime", "updateTimestamp", "comboLegs", "status", "qty", "feeAmount", "secMarket",
    "trdMarket",
)  # fmt: skip
"""What is read of a payload."""

_NOT_FINAL = frozenset({OrderStatus.PENDING, OrderStatus.OPEN, OrderStatus.PARTIAL})


@dataclass(frozen=True, slots=True)
class _Known:
    """The records of one account, sorted by what they are."""

    orders: dict[str, Record]
    deals: dict[str, list[Record]]
    settled: frozenset[str]


def audit(records: Sequence[Record], *, has_trades: bool) -> Audit:
    """What is missing, as far as the records tell; of a paper account, which has no deals, nothing is.

    Combinations are left out of the sums: whether their deals carry the order's id leg by leg is not known.
    """
    known = _known(records)
    if not has_trades:
        return Audit()
    return Audit(_unpaid(known), frozenset(_orphans(known)), frozenset(_open(known)), _incomplete(known))


def _known(records: Iterable[Record]) -> _Known:
    orders: dict[str, Record] = {}
    deals: defaultdict[str, list[Record]] = defaultdict(list)
    settled: set[str] = set()
    for record in records:
        match record.kind:
            case RecordKind.ORDERS:
                orders[record.key] = record
            case RecordKind.TRADES if record.order_id:
                deals[record.order_id].append(record)
            case RecordKind.FEES if record.payload.get("feeAmount") is not None:
                settled.add(record.key)
            case _:
                pass
    return _Known(orders, deals, frozenset(settled))


def _unpaid(known: _Known) -> dict[str, date]:
    """Filled orders without a settled fee, newest first; one known only by its deals counts."""
    counted = {order_id: [deal for deal in deals if _counts(deal)] for order_id, deals in known.deals.items()}
    filled = {order_id: deals[0].business_date for order_id, deals in counted.items() if deals}
    filled |= {key: order.business_date for key, order in known.orders.items() if key in filled or _filled(order)}
    unpaid = [(day, order_id) for order_id, day in filled.items() if order_id not in known.settled]
    return {order_id: day for day, order_id in sorted(unpaid, reverse=True)}


def _orphans(known: _Known) -> Iterable[date]:
    lost = known.deals.keys() - known.orders.keys()
    return (deal.business_date for order_id in lost for deal in known.deals[order_id])


def _open(known: _Known) -> Iterable[date]:
    return (order.business_date for order in known.orders.values() if _is_open(order))


def _incomplete(known: _Known) -> dict[str, frozenset[date]]:
    """Days whose deals are fewer than an order says, and days of orders that know of fewer than there are."""
    deal_days: set[date] = set()
    order_days: set[date] = set()
    for key, order in known.orders.items():
        if order.payload.get("comboLegs"):
            continue
        filled, dealt = _filled(order), _dealt(known.deals.get(key, ()))
        if dealt < filled:
            deal_days |= {order.business_date, _last_change(order)}
        elif dealt > filled:
            order_days.add(order.business_date)
    return {DEALS: frozenset(deal_days), ORDERS: frozenset(order_days)}


def _filled(order: Record) -> Decimal:
    return _quantity(order, "fillQty")


def _dealt(deals: Iterable[Record]) -> Decimal:
    return sum((_quantity(deal, "qty") for deal in deals if _counts(deal)), Decimal(0))


def _quantity(record: Record, name: str) -> Decimal:
    try:
        return amounts.number(record.payload, name) or Decimal(0)
    except UnknownPayload:
        return Decimal(0)  # an unreadable number stands in quarantine already


def _counts(deal: Record) -> bool:
    state = vocabulary.DEAL_STATES.get(deal.payload.get("status", 0))
    return state is None or state[2]


def _is_open(order: Record) -> bool:
    state = vocabulary.ORDER_STATES.get(order.payload.get("orderStatus", -1))
    return state is not None and state[1] in _NOT_FINAL


def _last_change(order: Record) -> date:
    try:
        return market_time.exchange_date(order.payload, "update")
    except UnknownPayload:
        return order.business_date
