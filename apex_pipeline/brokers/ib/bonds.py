"""What one point of a bond's price is worth: IB prices bonds as a percentage of their face value.

The row itself proves it, by the money beside its price: that is quantity x price / 100 (ib-edavki #98). What no money
proves stays unknown.
"""

from decimal import Decimal

from apex_pipeline.brokers.ib.attributes import EXACT, Attributes
from apex_pipeline.errors import UnknownPayload

PERCENT = Decimal("0.01")
_MONEY = (("proceeds", "quantity", "tradePrice"), ("positionValue", "position", "markPrice"))
"""Where a row tells money, and the quantity and price it is made of."""

_CENT, _RELATIVE = Decimal("0.01"), Decimal("0.00001")


def money_per_point(row: Attributes, told: Decimal | None) -> Decimal | None:
    """Money per unit of quantity and point of price; None where the row's money does not prove it.

    `told`: the multiplier of the row. A price that is money per unit, and the principal that is left of an amortizing
    bond, are tried as well.
    """
    contract = told or Decimal(1)
    percent = EXACT.multiply(contract, PERCENT)
    left = _number(row, "principalAdjustFactor")
    candidates = [percent, contract, *([EXACT.multiply(percent, left)] if left else [])]
    for names in _MONEY:
        money, qty, price = (_number(row, name) for name in names)
        if money and qty and price:
            whole = EXACT.multiply(qty, price)
            return next((one for one in candidates if _agrees(abs(money), abs(EXACT.multiply(whole, one)))), None)
    return None


def _agrees(money: Decimal, computed: Decimal) -> bool:
    """Whether the two differ by no more than the rounding of money and prices."""
    return abs(money - computed) <= max(_CENT, EXACT.multiply(money, _RELATIVE))


def _number(row: Attributes, name: str) -> Decimal | None:
    """The number; unreadable is unknown, because what the row is does not hang on it."""
    try:
        return row.number(name)
    except UnknownPayload:
        return None
