"""Which shares an exercised or assigned option moved, where IB does not say so itself.

Older statements have no positionActionID. The two rows of one event are then known by what they are: same account,
day and kind, the stock of the option, contracts times multiplier, at the strike, in the direction of the option.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import reduce

from apex_pipeline.brokers.ib.attributes import EXACT, Attributes
from apex_pipeline.brokers.ib.orders import Execution
from apex_pipeline.brokers.ib.symbols import terms_of
from apex_pipeline.domain.models import AssetClass, OptionRight, Side, Trade, TradeKind
from apex_pipeline.errors import UnknownPayload

_KINDS = frozenset({TradeKind.ASSIGNMENT, TradeKind.EXERCISE})

Event = tuple[object, ...]
"""What both rows of one event agree on; the number of shares is last."""


def linked(executions: Sequence[Execution]) -> list[Execution]:
    """The executions in the same order, both rows of each event with the `link_id` `B{transactionID of the option}`.

    Rows that have a link keep it. Of several pairs that cannot be told apart the older rows belong together. Rows that
    remain belong together if they add up: shares may be booked at once for several rows of an option, or in parts.
    """
    options: defaultdict[Event, list[Execution]] = defaultdict(list)
    stocks: defaultdict[Event, list[Execution]] = defaultdict(list)
    for item in sorted(executions, key=_age):
        if item.trade.kind not in _KINDS or item.trade.link_id is not None:
            continue
        if item.trade.asset_class is AssetClass.OPTION and (event := _delivery(item)):
            options[event].append(item)
        elif item.trade.asset_class is not AssetClass.OPTION:
            stocks[_moved(item.trade)].append(item)
    links = {
        id(side): f"B{option.record.key}"
        for event, waiting in options.items()
        for option, stock in zip(waiting, stocks.get(event, []), strict=False)
        for side in (option, stock)
    }
    links |= _linked_sums(
        {event: [one for one in some if id(one) not in links] for event, some in options.items()},
        {event: [one for one in some if id(one) not in links] for event, some in stocks.items()},
    )
    return [_with_link(item, links.get(id(item))) for item in executions]


def _linked_sums(options: Mapping[Event, list[Execution]], stocks: Mapping[Event, list[Execution]]) -> dict[int, str]:
    """Links of rows that agree on all but the number of shares, of which both sides move as many."""
    asked: defaultdict[Event, list[tuple[Execution, Decimal]]] = defaultdict(list)
    moved: defaultdict[Event, list[tuple[Execution, Decimal]]] = defaultdict(list)
    for of_events, into in ((options, asked), (stocks, moved)):
        for event, rows in of_events.items():
            *about, shares = event
            into[tuple(about)] += [(row, shares) for row in rows if isinstance(shares, Decimal)]
    links: dict[int, str] = {}
    for event, sides in asked.items():
        rows = [*sides, *moved.get(event, [])]
        if sides and len(rows) > len(sides) and _shares(sides) == _shares(rows[len(sides) :]):
            first = min((option for option, _ in sides), key=_age)
            links |= {id(row): f"B{first.record.key}" for row, _ in rows}
    return links


def _shares(rows: Sequence[tuple[Execution, Decimal]]) -> Decimal:
    return reduce(EXACT.add, (shares for _, shares in rows), Decimal(0))


def _with_link(item: Execution, link: str | None) -> Execution:
    return item if link is None else replace(item, trade=replace(item.trade, link_id=link))


def _age(item: Execution) -> tuple[int, str]:
    return len(item.record.key), item.record.key


def _delivery(item: Execution) -> Event | None:
    """The movement of shares that the end of this option makes; None where its terms are not known."""
    trade = item.trade
    try:
        _, right, strike = terms_of(Attributes(item.record))
    except UnknownPayload:
        return None
    if right is None or strike is None or trade.multiplier is None:
        return None
    side = trade.side if right is OptionRight.PUT else _opposite(trade.side)
    shares = EXACT.multiply(trade.qty, trade.multiplier)
    return _event(trade, trade.underlying, side, shares, strike)


def _moved(trade: Trade) -> Event:
    return _event(trade, trade.symbol, trade.side, trade.qty, trade.price)


def _event(trade: Trade, stock: str | None, side: Side, shares: Decimal, price: Decimal) -> Event:
    return trade.account_id, trade.trade_date, trade.kind, trade.effective, stock, side, price, shares


def _opposite(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY
