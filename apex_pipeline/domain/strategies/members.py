"""What the tables of strategies are told from: classified orders, their fills, book entries, fees and gains.

Quantities are positive with a side, as in `domain.models`; amounts are in the currency of their row.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.models import AssetClass, Broker, OptionRight, Side, TradeKind
from apex_pipeline.domain.money import allocate
from apex_pipeline.domain.strategies.legs import OPTIONS

CENTS = 2


@dataclass(frozen=True, slots=True)
class Member:
    """One order in one strategy: a row of `order_strategy_map` with what the order itself says."""

    order_uid: str
    strategy_uid: str
    family: str
    strategy_type: str
    action: str
    sub_type: str | None
    resulting_type: str | None
    leg_role: str
    qty_in_strategy: Decimal
    confidence: Decimal
    method: str
    evidence: dict[str, Any]
    alternatives: list[dict[str, Any]]
    chain_uid: str | None
    trade_date: date


@dataclass(frozen=True, slots=True)
class Fill:
    """An execution, a book entry (`order_uid` None), or an order of which no execution is known (`price` may be None).

    `family` is the underlying under which its order was classified.
    """

    trade_uid: str
    order_uid: str | None
    family: str
    symbol: str
    asset_class: AssetClass
    kind: TradeKind
    side: Side
    qty: Decimal
    price: Decimal | None
    multiplier: Decimal | None
    currency: str | None
    executed_at: datetime | None
    trade_date: date
    link_id: str | None
    option_right: OptionRight | None
    strike: Decimal | None
    expiry: date | None

    @property
    def signed(self) -> Decimal:
        """The change of position: positive bought."""
        return self.qty if self.side is Side.BUY else -self.qty

    @property
    def is_option(self) -> bool:
        return self.asset_class in OPTIONS


@dataclass(frozen=True, slots=True)
class Charge:
    """The fees of one order in one currency, positive when paid."""

    order_uid: str
    family: str
    currency: str | None
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Gain:
    """One row of `realized_pnl`; `realized_pnl` None where the basis is not known."""

    realized_uid: str
    family: str
    open_trade_uid: str | None
    close_trade_uid: str
    realized_pnl: Decimal | None
    currency: str | None
    closed_on: date


@dataclass(frozen=True, slots=True)
class Family:
    """Everything of one account and underlying. `fills` are of orders, `entries` are the broker's own bookings."""

    broker: Broker
    account_id: str
    underlying: str
    members: Sequence[Member]
    fills: Sequence[Fill]
    entries: Sequence[Fill]
    charges: Sequence[Charge]
    gains: Sequence[Gain]


@dataclass(frozen=True, slots=True)
class Part:
    """What of an order's fills in one contract and side belongs to one strategy.

    `value` is the sum of quantity times price; None where a price is not known. `fill` tells the contract.
    """

    order_uid: str
    fill: Fill
    qty: Decimal
    value: Decimal | None


class Shares:
    """How orders that serve several strategies are divided among them: by quantity, in the order of their uids."""

    def __init__(self, family: Family) -> None:
        members: defaultdict[str, list[Member]] = defaultdict(list)
        for member in sorted(family.members, key=lambda one: one.strategy_uid):
            members[member.order_uid].append(member)
        self.members: Mapping[str, Sequence[Member]] = members
        self.order_of: Mapping[str, str] = {
            fill.trade_uid: fill.order_uid for fill in family.fills if fill.order_uid is not None
        }

    def closing(self, trade_uid: str) -> list[Member]:
        """The memberships of a trade's order that closed something: an opening half closes nothing."""
        return self._but(trade_uid, "OPEN")

    def opening(self, trade_uid: str) -> list[Member]:
        """The memberships of a trade's order that opened something: a closing half opens nothing."""
        return self._but(trade_uid, "CLOSE")

    def _but(self, trade_uid: str, action: str) -> list[Member]:
        members = list(self.members.get(self.order_of.get(trade_uid, ""), ()))
        return [member for member in members if member.action != action] or members


def split(total: Decimal, members: Sequence[Member], places: int = CENTS) -> list[Decimal]:
    """An amount over memberships in proportion to their quantities; the parts sum to it exactly."""
    if len(members) == 1:
        return [total]
    return allocate(total, [member.qty_in_strategy for member in members], places)


def parts_of(shares: Shares, fills: Iterable[Fill]) -> Mapping[tuple[str, str], Sequence[Part]]:
    """The parts of each membership, by (strategy_uid, order_uid), in the order of the fills."""
    sums: dict[tuple[str, str, Side], Part] = {}
    for fill in fills:
        if fill.order_uid is not None:
            key = fill.order_uid, fill.symbol, fill.side
            before = sums.get(key)
            sums[key] = _first(fill.order_uid, fill) if before is None else _added(before, fill)
    found: defaultdict[tuple[str, str], list[Part]] = defaultdict(list)
    for (order_uid, _, _), whole in sums.items():
        members = shares.members.get(order_uid, ())
        if not members:
            continue
        quantities = split(whole.qty, members, 0)
        values = [None] * len(members) if whole.value is None else split(whole.value, members)
        for member, qty, value in zip(members, quantities, values, strict=True):
            found[member.strategy_uid, order_uid].append(replace(whole, qty=qty, value=value))
    return found


def _first(order_uid: str, fill: Fill) -> Part:
    return Part(order_uid, fill, fill.qty, None if fill.price is None else fill.qty * fill.price)


def _added(part: Part, fill: Fill) -> Part:
    value = None if part.value is None or fill.price is None else part.value + fill.qty * fill.price
    return replace(part, qty=part.qty + fill.qty, value=value)
