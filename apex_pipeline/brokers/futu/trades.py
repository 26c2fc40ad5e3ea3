"""Deal records to trades. Pure.

The row of a deal that was taken back stays under its own id as CANCEL, not effective.
"""

from decimal import Decimal

from apex_pipeline.brokers.futu import amounts, codes, market_time, vocabulary
from apex_pipeline.brokers.futu.codes import Listing
from apex_pipeline.brokers.futu.orders import listing_of, order_uid
from apex_pipeline.domain.models import AssetClass, Broker, Instrument, Order, Side, Trade
from apex_pipeline.domain.records import Record
from apex_pipeline.errors import UnknownPayload

SOURCE = "futu_deals"
_SIZED_BY_ORDER = frozenset({AssetClass.OPTION, AssetClass.FUTURE, AssetClass.COMBO})


def read(record: Record, order: Order | None) -> tuple[Trade, Instrument]:
    """The trade of a deal, its order being known or not, and its instrument; raises UnknownPayload."""
    row = record.payload
    listing = listing_of(row)
    multiplier = _multiplier(listing, order)
    currency = order.currency if order and order.currency else amounts.currency_of(row)
    _, kind, effective = _state(row.get("status", 0))
    qty, price = amounts.required(row, "qty"), amounts.required(row, "price")
    if qty <= 0:
        raise UnknownPayload("bad_quantity", f"a deal of {qty}")
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
        side=_side(row.get("trdSide")),
        qty=qty,
        price=price,
        multiplier=multiplier,
        amount=None if multiplier is None else qty * price * multiplier,
        currency=currency,
        executed_at=market_time.instant(row, "create"),
        trade_date=record.business_date,
        settle_date=None,
        position_effect=vocabulary.POSITION_EFFECTS.get(row.get("trdSide", 0)),
        link_id=None,
        source=SOURCE,
    )
    return trade, codes.instrument(listing, currency, multiplier, row.get("name") or None)


def _multiplier(listing: Listing, order: Order | None) -> Decimal | None:
    """The order's, where the deal is of the order's instrument or of an option among its legs."""
    if order is None or listing.asset_class not in _SIZED_BY_ORDER:
        return codes.standard_multiplier(listing)
    if listing.symbol == order.symbol:
        return order.multiplier
    standard = codes.standard_multiplier(listing)
    return order.multiplier if standard is None and order.legs else standard


def _side(number: object) -> Side:
    side = vocabulary.SIDES.get(number) if isinstance(number, int) else None
    if side is None:
        raise UnknownPayload("unknown_side", f"a deal whose trdSide is {number}")
    return side


def _state(number: object) -> tuple[str, vocabulary.TradeKind, bool]:
    state = vocabulary.DEAL_STATES.get(number) if isinstance(number, int) else None
    if state is None:
        raise UnknownPayload("unknown_deal_status", f"a deal whose status is {number}")
    return state
