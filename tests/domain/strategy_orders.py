"""Orders and positions for the tests of the strategy engine: one account, one underlying, seconds of one day.

Quantities are signed: positive bought or long. Orders have numbers, their uids are `IB_<account>_<number>`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.models import AssetClass, Broker, OptionRight, Side
from apex_pipeline.domain.strategies.classify import StrategyAssignment, classify
from apex_pipeline.domain.strategies.legs import ClassifiableOrder, Contract, Correction, OrderLeg, PositionChange

START = datetime(2026, 7, 13, 14, 0, tzinfo=UTC)
NEAR, FAR = date(2026, 8, 21), date(2026, 9, 18)
STOCK = Contract("US.AAPL", "US.AAPL", AssetClass.STOCK)
C, P = OptionRight.CALL, OptionRight.PUT
DAY = 86_400
HOUR = 3_600

Legs = Mapping[Contract, int]
Answer = tuple[str, str, str]
"""Type, action, method."""


def option(
    right: OptionRight, strike: int | str, expiry: date = NEAR, lot: int = 100, stock: str = "US.AAPL"
) -> Contract:
    symbol = f"{stock} {expiry} {right.value} {strike}"
    return Contract(symbol, stock, AssetClass.OPTION, right, Decimal(strike), expiry, Decimal(lot))


def order(number: int, contract: Contract, qty: int | str, seconds: float, **changes: Any) -> ClassifiableOrder:
    """A filled order; `seconds` count from the start of the first day."""
    at = START + timedelta(seconds=seconds)
    amount = Decimal(qty)
    made = ClassifiableOrder(
        order_uid=f"IB_U1_{number}",
        broker=Broker.IB,
        account_id="U1",
        symbol=contract.symbol,
        underlying=contract.underlying,
        asset_class=contract.asset_class,
        option_right=contract.option_right,
        strike=contract.strike,
        expiry=contract.expiry,
        multiplier=contract.multiplier,
        side=Side.BUY if amount > 0 else Side.SELL,
        qty=abs(amount),
        filled_qty=abs(amount),
        at=at,
        trade_date=at.date(),
    )
    return replace(made, **changes)


def spread(first: int, legs: Legs, seconds: float, gap: float = 1, **changes: Any) -> list[ClassifiableOrder]:
    """One order per leg, `gap` seconds apart, numbered from `first`."""
    return [
        order(first + index, contract, qty, seconds + index * gap, **changes)
        for index, (contract, qty) in enumerate(legs.items())
    ]


def combination(
    number: int, legs: Legs, seconds: float, side: Side = Side.BUY, qty: int = 2, **changes: Any
) -> ClassifiableOrder:
    """One order with legs; `legs` are signed ratios, the legs of a sold combination are told as they were sold."""
    inside = tuple(
        OrderLeg(item, Side.BUY if ratio > 0 else Side.SELL, Decimal(abs(ratio))) for item, ratio in legs.items()
    )
    contract = Contract("US.AAPL260821C100/260821C105", "US.AAPL", AssetClass.COMBO)
    return order(number, contract, qty if side is Side.BUY else -qty, seconds, legs=inside, **changes)


def opposite(legs: Legs, times: int = 1) -> dict[Contract, int]:
    return {contract: -qty * times for contract, qty in legs.items()}


def held(contract: Contract, qty: int | str, at: datetime | None = None) -> PositionChange:
    """A position from before the first order, or a book entry of that instant."""
    return PositionChange(Broker.IB, "U1", contract, Decimal(qty), at)


def correction(numbers: Iterable[int], strategy_type: str, action: str = "OPEN") -> Correction:
    return Correction(frozenset(f"IB_U1_{number}" for number in numbers), strategy_type, action)


def rows_of(orders: Iterable[ClassifiableOrder], *changes: PositionChange) -> list[StrategyAssignment]:
    return classify(orders, changes).assignments


def number_of(order_uid: str) -> int:
    return int(order_uid.rpartition("_")[2])


def answers(rows: Iterable[StrategyAssignment]) -> dict[int, Answer]:
    """What each order is, by its number; only for orders that serve one strategy."""
    found: dict[int, Answer] = {}
    for row in rows:
        assert number_of(row.order_uid) not in found, f"{row.order_uid} serves more than one strategy"
        found[number_of(row.order_uid)] = row.strategy_type, row.action, row.method
    return found


def answer(*orders: ClassifiableOrder, changes: Iterable[PositionChange] = ()) -> list[Answer]:
    """Type, action and method per order, in order of uid."""
    return list(answers(rows_of(orders, *changes)).values())


def groups(rows: Iterable[StrategyAssignment]) -> list[tuple[str, str, tuple[int, ...]]]:
    """Type, action and the numbers of the orders of each strategy, by the lowest number."""
    members: dict[str, list[StrategyAssignment]] = {}
    for row in rows:
        members.setdefault(row.strategy_uid, []).append(row)
    found = [
        (some[0].strategy_type, some[0].action, tuple(sorted(number_of(row.order_uid) for row in some)))
        for some in members.values()
    ]
    return sorted(found, key=lambda group: (group[2], group[1]))


CONDOR: Legs = {option(P, 90): 1, option(P, 95): -1, option(C, 105): -1, option(C, 110): 1}
VERTICAL: Legs = {option(C, 100): 2, option(C, 105): -2}
