"""Deal records to trades. Pure.

The row of a deal that was taken back stays under its own id as CANCEL, not effective. A deal of doubtful state
counts only where the order itself says that it must.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from apex_pipeline.brokers.futu import amounts, codes, market_time, vocabulary
from apex_pipeline.brokers.futu.codes import Listing
from apex_pipeline.brokers.futu.orders import listing_of, order_uid
from apex_pipeline.domain.models import AssetClass, Broker, Instrument, Order, Side, Trade, TradeKind
from apex_pipeline.domain.records import Record
from apex_pipeline.errors import UnknownPayload

SOURCE = "futu_deals"
_SIZED_BY_ORDER = frozenset({AssetClass.OPTION, AssetClass.FUTURE, AssetClass.COMBO})
_UNKNOWN_STATE = ("", TradeKind.OTHER, False)


def read(record: Record, order: Order | None) -> tuple[Trade, Instrument]:
    """The trade of a deal, its order being known or not, and its instrument; raises UnknownPayload."""
    row = record.payload
    listing = listing_of(row)
    multiplier = _multiplier(listing, order)
    currency = order.currency if order and order.currency else amounts.currency_of(row)
    _, kind, effective = vocabulary.DEAL_STATES.get(row.get("status", 0), _UNKNOWN_STATE)
    qty, price = amounts.required(row, "qty"), amounts.required(row, "price")
    if qty <= 0:
        raise UnknownPayload("bad_quantity", f"a deal of {qty}")
    side, effect = _side_and_effect(row.get("trdSide"), listing, order)
    trade = Trade(
        trade_uid=f"{Broker.FUTU}_{record.account_id}_{record.key}",
        order_uid=order_uid(record.account_id, record.order_id) if record.order_id else None,
        broker=Broker.FUTU,
        account_id=record.account_id,
        broker_trade_id=record.key,
        exec_id=row.get("fillIDEx") or None,
        market=listing.market,
        symbol=listing.symbol,
        underlying=listing.underlying,
        asset_class=listing.asset_class,
        kind=kind,
        effective=effective,
        side=side,
        qty=qty,
        price=price,
        multiplier=multiplier,
        amount=None if multiplier is None else qty * price * multiplier,
        currency=currency,
        executed_at=market_time.instant(row, "create"),
        trade_date=record.business_date,
        settle_date=None,
        position_effect=effect,
        link_id=None,
        source=SOURCE,
        report_date=None,
        instrument_id=listing.futu_code,
    )
    return trade, codes.instrument(listing, currency, multiplier, row.get("name") or None)


def is_doubtful(record: Record) -> bool:
    """Whether a deal's status alone does not say if it counts: CHANGED, and numbers that no rule knows."""
    status = record.payload.get("status", 0)
    return status == vocabulary.CHANGED_DEAL or status not in vocabulary.DEAL_STATES


def settled(trades: Sequence[Trade], doubtful: frozenset[str], order: Order | None) -> list[Trade]:
    """The trades of one order, those in `doubtful` (by trade_uid) decided by what the order says is filled.

    They do not count where the others are the whole of it already (they were replaced, and replacing never adds),
    and count where only all of them together are. Otherwise each stays as its status says.
    """
    sums: defaultdict[tuple[str, bool], Decimal] = defaultdict(Decimal)
    for trade in trades:
        if trade.effective or trade.trade_uid in doubtful:
            sums[trade.symbol, trade.trade_uid in doubtful] += trade.qty
    filled = _filled_by_symbol(order)

    def counts(trade: Trade) -> bool:
        sure, unsure = sums[trade.symbol, False], sums[trade.symbol, True]
        told = filled.get(trade.symbol)
        if trade.trade_uid not in doubtful or told not in (sure, sure + unsure):
            return trade.effective
        return told != sure

    return [replace(trade, effective=counts(trade)) for trade in trades]


def _filled_by_symbol(order: Order | None) -> dict[str, Decimal]:
    """What an order says is filled, by instrument; nothing where it does not say."""
    if order is None or order.filled_qty is None or order.source == SOURCE:
        return {}
    if not order.legs:
        return {order.symbol: order.filled_qty}
    return {leg["symbol"]: order.filled_qty * leg["ratio"] for leg in order.legs if leg["ratio"] is not None}


def _multiplier(listing: Listing, order: Order | None) -> Decimal | None:
    """The order's, where the deal is of the order's instrument or of an option among its legs."""
    if order is None or listing.asset_class not in _SIZED_BY_ORDER:
        return codes.standard_multiplier(listing)
    if listing.symbol == order.symbol:
        return order.multiplier
    standard = codes.standard_multiplier(listing)
    return order.multiplier if standard is None and order.legs else standard


def _side_and_effect(number: object, listing: Listing, order: Order | None) -> tuple[Side, str | None]:
    """The deal's own side; where its number is not known, that of its order of the same instrument."""
    if isinstance(number, int) and number in vocabulary.SIDES:
        return vocabulary.SIDES[number], vocabulary.POSITION_EFFECTS.get(number)
    if order and order.side and order.symbol == listing.symbol:
        return order.side, order.position_effect
    raise UnknownPayload("unknown_side", f"a deal whose trdSide is {number}")
