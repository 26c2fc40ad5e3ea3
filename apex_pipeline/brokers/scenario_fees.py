"""Fee schedules of a scenario: what an order costs at Futu, what an execution costs at IB.

The rates are near the published ones; what matters is their shape: minimums per order, a stamp duty in
whole dollars, sell-only charges, commissions with many decimals and rebates.
"""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

from apex_pipeline.brokers.scenario import Charge, Contract, Fill
from apex_pipeline.domain.models import AssetClass, FeeType, Side

_CENT = Decimal("0.01")
_Part = tuple[FeeType, str, Decimal]


def order_charges(fills: Sequence[Fill]) -> tuple[Charge, ...]:
    """Futu: the charges of one order, each rounded to cents and never zero; nothing without fills."""
    if not fills:
        return ()
    options = [f for f in fills if f.contract.asset_class == AssetClass.OPTION]
    shares = [f for f in fills if f.contract.asset_class == AssetClass.STOCK]
    home = fills[0].contract.market
    parts: list[_Part] = []
    if options:
        parts += _us_options(options) if home == "US" else _hk_options(options)
    if shares:
        parts += _us_stocks(shares) if home == "US" else _hk_stocks(shares)
    return _charges(parts)


def _charges(parts: Sequence[_Part]) -> tuple[Charge, ...]:
    sums: dict[tuple[FeeType, str], Decimal] = {}
    for kind, title, raw in parts:
        amount = raw.quantize(_CENT, ROUND_HALF_UP)
        sums[kind, title] = sums.get((kind, title), Decimal(0)) + amount
    return tuple(Charge(kind, amount, title) for (kind, title), amount in sums.items() if amount)


def _us_options(fills: Sequence[Fill]) -> list[_Part]:
    qty, sold, sold_money = _totals(fills)
    parts = [
        (FeeType.COMMISSION, "Commission", max(qty * Decimal("0.65"), Decimal("1.99"))),
        (FeeType.PLATFORM, "Platform Fee", qty * Decimal("0.30")),
        (FeeType.REGULATORY, "Options Regulatory Fee", qty * Decimal("0.0123")),
        (FeeType.CLEARING, "OCC Fee", qty * Decimal("0.02")),
        (FeeType.SETTLEMENT, "Settlement Fee", qty * Decimal("0.18")),
    ]
    return parts + _us_sales(sold_money, sold * Decimal("0.00279"))


def _us_stocks(fills: Sequence[Fill]) -> list[_Part]:
    qty, sold, sold_money = _totals(fills)
    parts = [
        (FeeType.COMMISSION, "Commission", max(qty * Decimal("0.0049"), Decimal("0.99"))),
        (FeeType.PLATFORM, "Platform Fee", max(qty * Decimal("0.005"), Decimal("1.00"))),
        (FeeType.SETTLEMENT, "Settlement Fee", qty * Decimal("0.003")),
    ]
    return parts + _us_sales(sold_money, min(sold * Decimal("0.000166"), Decimal("8.30")))


def _us_sales(sold_money: Decimal, activity: Decimal) -> list[_Part]:
    if not sold_money:
        return []
    return [
        (FeeType.REGULATORY, "SEC Fee", max(sold_money * Decimal("0.0000278"), _CENT)),
        (FeeType.REGULATORY, "Trading Activity Fee", max(activity, _CENT)),
    ]


def _hk_stocks(fills: Sequence[Fill]) -> list[_Part]:
    money = _money(fills)
    return [
        (FeeType.COMMISSION, "Commission", max(money * Decimal("0.0003"), Decimal(3))),
        (FeeType.PLATFORM, "Platform Fee", Decimal(15)),
        (FeeType.STAMP_DUTY, "Stamp Duty", _stamp_duty(money)),
        (FeeType.EXCHANGE, "Trading Fee", max(money * Decimal("0.0000565"), _CENT)),
        (FeeType.REGULATORY, "SFC Levy", max(money * Decimal("0.000027"), _CENT)),
        (FeeType.REGULATORY, "FRC Levy", max(money * Decimal("0.0000015"), _CENT)),
        (FeeType.SETTLEMENT, "Settlement Fee", min(max(money * Decimal("0.00002"), Decimal(2)), Decimal(100))),
    ]


def _hk_options(fills: Sequence[Fill]) -> list[_Part]:
    qty = _totals(fills)[0]
    return [
        (FeeType.COMMISSION, "Commission", max(_money(fills) * Decimal("0.002"), Decimal(3))),
        (FeeType.PLATFORM, "Platform Fee", Decimal(15)),
        (FeeType.EXCHANGE, "Trading Fee", qty * 3),
    ]


def execution_charges(contract: Contract, side: Side, qty: Decimal, price: Decimal, rebate: bool) -> tuple[Charge, ...]:
    """IB: the commission of one execution (4 to 8 decimals, negative when `rebate` wins) and its stamp duty."""
    money = qty * price * contract.multiplier
    commission = _commission(contract, side, qty, money, rebate)
    charges = [Charge(FeeType.COMMISSION, commission, "ibCommission")]
    if contract.market == "HK" and contract.asset_class == AssetClass.STOCK:
        charges.append(Charge(FeeType.STAMP_DUTY, _stamp_duty(money), "taxes"))
    return tuple(charges)


def _commission(contract: Contract, side: Side, qty: Decimal, money: Decimal, rebate: bool) -> Decimal:
    if contract.market == "HK":
        least = Decimal(18) if contract.asset_class == AssetClass.STOCK else qty * Decimal("2.5")
        return (max(money * Decimal("0.0008"), least) + money * Decimal("0.00008515")).quantize(Decimal("0.000001"))
    if contract.asset_class == AssetClass.OPTION:
        per_contract = Decimal("-0.0775") if rebate else Decimal("0.67415")
        sale = money * Decimal("0.0000278") if side == Side.SELL else Decimal(0)
        return (qty * per_contract + sale).quantize(Decimal("0.0000001"))
    per_share = Decimal("-0.00013") if rebate else Decimal("0.0040175")
    sale = money * Decimal("0.0000278") + qty * Decimal("0.000166") if side == Side.SELL else Decimal(0)
    return (qty * per_share + sale).quantize(Decimal("0.00000001"))


def _stamp_duty(money: Decimal) -> Decimal:
    """0.1%, rounded up to whole Hong Kong dollars."""
    return (money * Decimal("0.001")).quantize(Decimal(1), ROUND_CEILING)


def _totals(fills: Sequence[Fill]) -> tuple[Decimal, Decimal, Decimal]:
    sold = [f for f in fills if f.side == Side.SELL]
    return sum((f.qty for f in fills), Decimal(0)), sum((f.qty for f in sold), Decimal(0)), _money(sold)


def _money(fills: Sequence[Fill]) -> Decimal:
    return sum((f.qty * f.price * f.contract.multiplier for f in fills), Decimal(0))
