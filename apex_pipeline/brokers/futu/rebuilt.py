"""Orders that Futu never told, rebuilt from their deals. Pure.

Futu files an order under the day of its creation and may leave combinations out of its history, so deals can be
there without their order. The row carries what the deals say and nothing else; the real order has the same
`order_uid` and takes its place as soon as it is told.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import reduce
from typing import Any, TypeVar

from apex_pipeline.brokers.futu.trades import SOURCE
from apex_pipeline.domain.instruments import plain
from apex_pipeline.domain.models import AssetClass, Instrument, Order, OrderStatus, Side, Trade

_PRICE_PLACES = Decimal(1).scaleb(-12)
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)

_Value = TypeVar("_Value")


def order_of(order_id: str, trades: Sequence[Trade]) -> tuple[Order, list[Instrument]]:
    """The order of these trades (at least one, of one account), and its instrument where it has one of its own.

    Its status is UNKNOWN, because deals do not say how much was wanted; its quantity is None for the same reason.
    Deals of several instruments are a combination: its symbol is `<market>.COMBO <order id>`, because Futu's own
    name for it is not known; its filled quantity counts the largest unit of which every leg holds a whole number.
    """
    first = min(trades, key=lambda trade: (trade.trade_date, trade.trade_uid))
    counted = [trade for trade in trades if trade.effective]
    symbols = {trade.symbol for trade in trades}
    if len(symbols) == 1:
        total = sum((trade.qty for trade in counted), Decimal(0))
        return _order(order_id, first, trades, filled=total, average=_average(counted)), []
    units, legs = _combination(counted)
    order = _order(order_id, first, trades, filled=units, average=None)
    symbol = f"{first.market}.COMBO {order_id}" if first.market else f"COMBO {order_id}"
    combined = replace(order, symbol=symbol, asset_class=AssetClass.COMBO, side=None, position_effect=None)
    combined = replace(combined, combo_id=order_id, legs=legs or None)
    return combined, [_combined_instrument(combined)]


def _order(order_id: str, first: Trade, trades: Sequence[Trade], *, filled: Decimal, average: Decimal | None) -> Order:
    return Order(
        order_uid=f"{first.broker}_{first.account_id}_{order_id}",
        broker=first.broker,
        account_id=first.account_id,
        broker_order_id=order_id,
        market=first.market,
        symbol=first.symbol,
        underlying=_agreed([trade.underlying for trade in trades]),
        asset_class=first.asset_class,
        side=_agreed([trade.side for trade in trades]),
        position_effect=_agreed([trade.position_effect for trade in trades]),
        order_type=None,
        status=OrderStatus.UNKNOWN,
        broker_status=None,
        qty=None,
        filled_qty=filled,
        limit_price=None,
        avg_price=average,
        currency=_agreed([trade.currency for trade in trades]),
        multiplier=_agreed([trade.multiplier for trade in trades]),
        created_at=None,
        updated_at=None,
        trade_date=first.trade_date,
        combo_id=None,
        legs=None,
        declared_strategy=None,
        remark=None,
        source=SOURCE,
    )


def _combination(trades: Sequence[Trade]) -> tuple[Decimal, list[dict[str, Any]]]:
    """How many units were dealt, and the legs of one unit; legs that were bought as much as sold are left out."""
    net: defaultdict[str, Decimal] = defaultdict(Decimal)
    for trade in trades:
        net[trade.symbol] += trade.qty if trade.side is Side.BUY else -trade.qty
    held = {symbol: qty for symbol, qty in sorted(net.items()) if qty}
    if not held:
        return Decimal(0), []
    units = reduce(_common, (abs(Fraction(qty)) for qty in held.values()))
    legs = [
        {"symbol": symbol, "side": (Side.BUY if qty > 0 else Side.SELL).value, "ratio": int(abs(Fraction(qty)) / units)}
        for symbol, qty in held.items()
    ]
    return Decimal(units.numerator) / Decimal(units.denominator), legs


def _common(a: Fraction, b: Fraction) -> Fraction:
    """The greatest number that divides both."""
    while b:
        a, b = b, a % b
    return a


def _average(trades: Sequence[Trade]) -> Decimal | None:
    """The mean price by quantity, exact to 12 places, written as short as it is."""
    qty = sum((Fraction(trade.qty) for trade in trades), Fraction(0))
    if not qty:
        return None
    mean = sum((Fraction(trade.qty) * Fraction(trade.price) for trade in trades), Fraction(0)) / qty
    rounded = _EXACT.quantize(_EXACT.divide(Decimal(mean.numerator), Decimal(mean.denominator)), _PRICE_PLACES)
    return Decimal(plain(rounded))


def _agreed(values: Sequence[_Value | None]) -> _Value | None:
    """The one value of all; None where they differ or one is unknown."""
    return values[0] if len(set(values)) == 1 else None


def _combined_instrument(order: Order) -> Instrument:
    return Instrument(
        symbol=order.symbol,
        underlying=order.underlying,
        asset_class=AssetClass.COMBO,
        strike=None,
        expiry=None,
        option_right=None,
        multiplier=order.multiplier,
        currency=order.currency,
        exchange=None,
        name=None,
        futu_code=None,
        ib_symbol=None,
        ib_conid=None,
    )
