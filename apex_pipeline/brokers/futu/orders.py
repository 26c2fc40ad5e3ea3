"""Order records to rows, combinations included. Pure."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.brokers.futu import amounts, codes, market_time, vocabulary
from apex_pipeline.brokers.futu.codes import Listing
from apex_pipeline.domain.models import AssetClass, Broker, Instrument, Order, OrderStatus
from apex_pipeline.domain.records import Record
from apex_pipeline.errors import UnknownPayload

Row = Mapping[str, Any]
SOURCE = "futu_orders"


def order_uid(account_id: str, order_id: str) -> str:
    """`FUTU_{acc_id}_{order_id}`."""
    return f"{Broker.FUTU}_{account_id}_{order_id}"


def read(record: Record) -> tuple[Order, list[Instrument]]:
    """The order of a record and the instruments it names; raises UnknownPayload."""
    row = record.payload
    legs = _legs(row)
    listing = listing_of(row)
    leg_listings = [_leg_listing(leg) for leg in legs]
    multiplier = _multiplier(row, listing, leg_listings)
    currency = amounts.currency_of(row)
    order = _order(record, listing, multiplier, currency)
    instruments = [codes.instrument(listing, currency, multiplier, row.get("name") or None)]
    instruments += [
        codes.instrument(leg, currency, _leg_multiplier(leg, multiplier), None) for leg in leg_listings if leg.symbol
    ]
    return order, instruments


def listing_of(row: Row) -> Listing:
    """What the code of an order or deal names; an order with legs is a combination whatever its code."""
    code = row.get("code")
    if not isinstance(code, str) or not code:
        raise UnknownPayload("missing_field", "the row has no code")
    listing = codes.parse(market_time.market_of(row), code, row.get("trdMarket"))
    if not row.get("comboLegs") or listing.asset_class is AssetClass.COMBO:
        return listing
    return Listing(listing.futu_code, listing.market, listing.futu_code, AssetClass.COMBO, _underlying_of_legs(row))


def _order(record: Record, listing: Listing, multiplier: Decimal | None, currency: str | None) -> Order:
    row, order_id = record.payload, record.order_id or record.key
    combined = listing.asset_class is AssetClass.COMBO
    qty, filled = amounts.required(row, "qty"), amounts.number(row, "fillQty")
    broker_status, status = _state(row, filled)
    return Order(
        order_uid=order_uid(record.account_id, order_id),
        broker=Broker.FUTU,
        account_id=record.account_id,
        broker_order_id=order_id,
        market=listing.market,
        symbol=listing.symbol,
        underlying=listing.underlying,
        asset_class=listing.asset_class,
        side=vocabulary.SIDES.get(row.get("trdSide", 0)),
        position_effect=vocabulary.POSITION_EFFECTS.get(row.get("trdSide", 0)),
        order_type=_named(vocabulary.ORDER_TYPES, row.get("orderType")),
        status=status,
        broker_status=broker_status,
        qty=qty,
        filled_qty=filled,
        limit_price=_limit_price(row, combined),
        avg_price=amounts.number(row, "fillAvgPrice") if filled else None,
        currency=currency,
        multiplier=multiplier,
        created_at=_instant_or_none(row, "create"),
        updated_at=_instant_or_none(row, "update"),
        trade_date=record.business_date,
        combo_id=order_id if combined else None,
        legs=[_leg(leg) for leg in _legs(row)] or None,
        declared_strategy=_named(vocabulary.STRATEGIES, row.get("strategyType")) if combined else None,
        remark=row.get("remark") or None,
        source=SOURCE,
    )


def _state(row: Row, filled: Decimal | None) -> tuple[str | None, OrderStatus]:
    number = row.get("orderStatus")
    if number is None:
        return None, OrderStatus.UNKNOWN
    name, status = vocabulary.ORDER_STATES.get(number, (str(number), OrderStatus.UNKNOWN))
    # "partly filled" without a fill is an order that still waits for its first
    return name, OrderStatus.OPEN if status is OrderStatus.PARTIAL and filled == 0 else status


def _limit_price(row: Row, combined: bool) -> Decimal | None:
    """The limit, net for combinations (which may be 0 or negative); None where the order has none."""
    price = amounts.number(row, "price")
    zero_can_be_meant = combined and row.get("orderType") not in vocabulary.PRICELESS_ORDER_TYPES
    return price if price or zero_can_be_meant else None


def _instant_or_none(row: Row, which: str) -> datetime | None:
    try:
        return market_time.instant(row, which)
    except UnknownPayload:
        return None


def _named(names: Mapping[int, str], number: Any) -> str | None:
    return names.get(number, str(number)) if number else None


def _multiplier(row: Row, listing: Listing, legs: list[Listing]) -> Decimal | None:
    own = amounts.multiplier_of_order(row, listing)
    if own is not None or not legs:
        return own
    sizes = {codes.standard_multiplier(leg) for leg in legs if leg.asset_class is AssetClass.OPTION}
    return sizes.pop() if len(sizes) == 1 else None


def _leg_multiplier(leg: Listing, combined: Decimal | None) -> Decimal | None:
    standard = codes.standard_multiplier(leg)
    return combined if standard is None and leg.asset_class is AssetClass.OPTION else standard


def _legs(row: Row) -> list[Row]:
    return row.get("comboLegs") or []


def _leg_listing(leg: Row) -> Listing:
    security: Row = leg.get("security") or {}
    market = vocabulary.PREFIX_OF_QUOTE_MARKET.get(security.get("market", 0))
    return codes.parse(market, str(security.get("code", "")))


def _leg(leg: Row) -> dict[str, Any]:
    side = vocabulary.SIDES.get(leg.get("side", 0))
    ratio = amounts.number(leg, "qtyRatio")
    whole = ratio is not None and ratio == ratio.to_integral_value()
    return {
        "symbol": _leg_listing(leg).symbol,
        "side": side.value if side else None,
        "ratio": int(ratio) if ratio is not None and whole else ratio,
    }


def _underlying_of_legs(row: Row) -> str | None:
    legs = [_leg_listing(leg) for leg in _legs(row)]
    names = {leg.underlying or leg.symbol for leg in legs}
    return names.pop() if len(names) == 1 else None
