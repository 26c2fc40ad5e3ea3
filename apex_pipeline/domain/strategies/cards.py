"""One row per strategy as a person reads it: its legs, what it brought or cost, its bounds, and why it has its name."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from math import gcd
from typing import Any

from apex_pipeline.domain.instruments import plain
from apex_pipeline.domain.lot_shares import quotient, trimmed
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.strategies.card_legs import Leg, cash_of, known_sum, legs_of, options_of
from apex_pipeline.domain.strategies.members import Charge, Family, Fill, Gain, Member, Part, Shares, parts_of, split
from apex_pipeline.domain.strategies.payoff import Payoff, payoff, width
from apex_pipeline.domain.strategies.taxonomy import taxonomy

ZERO = Decimal(0)
_SHOWN = Decimal("0.005")
"""The least probability of another reading that the sentence tells."""
_BY_METHOD = {
    "linked": "one combination by the broker's word",
    "manual": "set by a person",
    "legging": "completed step by step",
}
_TWO_MINUTES = 120
_DOING = {"OPEN": "all opening", "CLOSE": "all closing", "ADJUST": "adjusting"}


@dataclass(frozen=True, slots=True)
class Strategy:
    """One strategy, a row of `strategies`.

    `legs`: {symbol, side, qty, avg_price, role, order_uids}, numbers as text. `units`: how often the smallest form
    of it was traded. `net_premium` is what its options brought, positive received, negative paid, without fees;
    None without options. `stock_cost` is what its shares or futures cost, positive paid; None without them.
    `width` in price units. `max_profit` and `max_loss` (positive: what can be lost) are amounts at expiry without
    fees, of what was filled, for openings in one expiry; where `profit_unlimited` or `loss_unlimited` is true there
    is no bound, where it is None it is not known. `break_evens`: prices of the underlying, as text. `fees`:
    positive when paid. `realized_pnl`: what its orders realized by closing, net of fees; None where they closed nothing
    or the basis is not known. `rival_type` is the best other reading. All amounts are in `currency`.
    """

    strategy_uid: str
    broker: Broker
    account_id: str
    underlying: str
    strategy_type: str
    name: str
    action: str
    sub_type: str | None
    resulting_type: str | None
    method: str
    confidence: Decimal
    rival_type: str | None
    rival_confidence: Decimal | None
    first_fill_at: datetime | None
    last_fill_at: datetime | None
    trade_date: date
    orders: int
    units: int
    legs: list[dict[str, Any]]
    net_premium: Decimal | None
    stock_cost: Decimal | None
    currency: str | None
    width: Decimal | None
    max_profit: Decimal | None
    profit_unlimited: bool | None
    max_loss: Decimal | None
    loss_unlimited: bool | None
    break_evens: list[str] | None
    fees: Decimal | None
    realized_pnl: Decimal | None
    chain_uid: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Card:
    """A row of `strategies` and its legs as numbers."""

    row: Strategy
    legs: Sequence[Leg]


def display_name(strategy_type: str) -> str:
    """The catalogue's name of a shape, or the words of a context type's id."""
    shape = taxonomy().shapes.get(strategy_type)
    return strategy_type.replace("_", " ").capitalize() if shape is None else shape.name


def cards_of(family: Family, shares: Shares) -> list[Card]:
    """A card for each strategy of the family, by strategy_uid. Arithmetic must be exact: see `telling`."""
    members: defaultdict[str, list[Member]] = defaultdict(list)
    for member in sorted(family.members, key=lambda one: one.order_uid):
        members[member.strategy_uid].append(member)
    facts = _Facts(
        parts_of(shares, sorted(family.fills, key=lambda fill: fill.trade_uid)),
        _times(family.fills),
        _Money(family, shares),
    )
    return [_card(family, uid, some, facts) for uid, some in sorted(members.items())]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the cards of a family are made of: parts of orders by strategy, first and last fills by order, money."""

    parts: Mapping[tuple[str, str], Sequence[Part]]
    times: Mapping[str, tuple[datetime, datetime]]
    money: "_Money"


class _Money:
    """Fees and gains by the strategy that they belong to."""

    def __init__(self, family: Family, shares: Shares) -> None:
        self._fees: defaultdict[tuple[str, str], list[tuple[str | None, Decimal]]] = defaultdict(list)
        self._gains: defaultdict[str, list[tuple[str | None, Decimal | None]]] = defaultdict(list)
        for charge in family.charges:
            self._charge(charge, shares)
        for gain in family.gains:
            self._gain(gain, shares)

    def _charge(self, charge: Charge, shares: Shares) -> None:
        members = shares.members.get(charge.order_uid, ())
        for member, part in zip(members, split(charge.amount, members) if members else (), strict=True):
            self._fees[member.strategy_uid, member.order_uid].append((charge.currency, part))

    def _gain(self, gain: Gain, shares: Shares) -> None:
        members = shares.closing(gain.close_trade_uid)
        total = gain.realized_pnl
        parts = [None] * len(members) if total is None or not members else split(total, members)
        for member, part in zip(members, parts, strict=True):
            self._gains[member.strategy_uid].append((gain.currency, part))

    def fees(self, members: Iterable[Member], currency: str | None) -> Decimal | None:
        """None where an order has no fee record, or one in another currency."""
        total = ZERO
        for member in members:
            told = self._fees.get((member.strategy_uid, member.order_uid))
            if told is None or any(own != currency for own, _ in told):
                return None
            total += sum((amount for _, amount in told), ZERO)
        return trimmed(total)

    def realized(self, strategy_uid: str, currency: str | None) -> Decimal | None:
        """None where nothing was closed, a basis is not known, or a currency is another."""
        told = self._gains.get(strategy_uid)
        if told is None or any(own != currency for own, _ in told):
            return None
        return known_sum(amount for _, amount in told)


def _card(family: Family, uid: str, members: Sequence[Member], facts: _Facts) -> Card:
    one, legs = members[0], legs_of(members, facts.parts)
    known = [facts.times[member.order_uid] for member in members if member.order_uid in facts.times]
    currencies = {leg.fill.currency for leg in legs}
    currency = currencies.pop() if len(currencies) == 1 else None
    premium, cost = cash_of(legs, options=True), cash_of(legs, options=False)
    bounds = _bounds(one, legs) if currency is not None else None
    rival, rival_share = _rival(one)
    units = _units(one, legs)
    row = Strategy(
        strategy_uid=uid,
        broker=family.broker,
        account_id=family.account_id,
        underlying=family.underlying,
        strategy_type=one.strategy_type,
        name=display_name(one.strategy_type),
        action=one.action,
        sub_type=one.sub_type,
        resulting_type=one.resulting_type,
        method=one.method,
        confidence=one.confidence,
        rival_type=rival,
        rival_confidence=rival_share,
        first_fill_at=min((first for first, _ in known), default=None),
        last_fill_at=max((last for _, last in known), default=None),
        trade_date=min(member.trade_date for member in members),
        orders=len(members),
        units=units,
        legs=[leg.told() for leg in legs],
        net_premium=premium if currency is not None else None,
        stock_cost=None if cost is None or currency is None else trimmed(-cost),
        currency=currency,
        width=width(options_of(legs)) if one.action == "OPEN" else None,
        max_profit=bounds and bounds.max_profit,
        profit_unlimited=bounds and bounds.max_profit is None,
        max_loss=bounds and bounds.max_loss,
        loss_unlimited=bounds and bounds.max_loss is None,
        break_evens=bounds and [plain(price) for price in bounds.break_evens],
        fees=facts.money.fees(members, currency),
        realized_pnl=facts.money.realized(uid, currency),
        chain_uid=one.chain_uid,
        why=_why(one, legs, len(members), units, premium),
    )
    return Card(row, legs)


def _times(fills: Iterable[Fill]) -> Mapping[str, tuple[datetime, datetime]]:
    """First and last execution by order."""
    found: dict[str, tuple[datetime, datetime]] = {}
    for fill in fills:
        if fill.order_uid is not None and (at := fill.executed_at) is not None:
            first, last = found.get(fill.order_uid, (at, at))
            found[fill.order_uid] = min(first, at), max(last, at)
    return found


def _bounds(member: Member, legs: Sequence[Leg]) -> Payoff | None:
    """The payoff of an opening whose options expire on one day and of which every term is known."""
    expiries = {leg.fill.expiry for leg in legs if leg.fill.is_option}
    shape = taxonomy().shapes.get(member.strategy_type)
    stands_on_held_shares = shape is not None and shape.stock is not None and all(leg.fill.is_option for leg in legs)
    if member.action != "OPEN" or len(expiries) != 1 or None in expiries or stands_on_held_shares:
        return None
    options, cash, shares = options_of(legs), known_sum(leg.cash for leg in legs), ZERO
    for leg in legs:
        if not leg.fill.is_option:
            shares += leg.signed * (leg.multiplier or ZERO)
    if cash is None or len(options) != sum(leg.fill.is_option for leg in legs):
        return None
    return payoff(options, shares, cash)


def _units(member: Member, legs: Sequence[Leg]) -> int:
    """As the classifier counted an opening; of all else the greatest common divisor of its contracts."""
    told = member.evidence.get("units")
    if member.action == "OPEN" and told is not None:
        return int(told)
    contracts = [leg.qty for leg in legs if leg.fill.is_option] or [leg.qty for leg in legs]
    if not contracts or any(qty != qty.to_integral_value() for qty in contracts):
        return 1
    return gcd(*(int(qty) for qty in contracts)) or 1


def _rival(member: Member) -> tuple[str | None, Decimal | None]:
    """The best other reading and its probability."""
    rated = [(Decimal(str(other["confidence"])), other["type"]) for other in member.alternatives]
    if not rated:
        return None, None
    share, name = max(rated, key=lambda pair: (pair[0], pair[1]))
    return name, share


def _why(member: Member, legs: Sequence[Leg], orders: int, units: int, premium: Decimal | None) -> str:
    """One sentence: the evidence, the reading with its confidence, and the best other one."""
    span = member.evidence.get("span_seconds")
    parts = [f"{orders} order{'s' * (orders > 1)}{'' if span is None else f' within {_lasting(Decimal(span))}'}"]
    if member.method in _BY_METHOD:
        parts.append(_BY_METHOD[member.method])
    parts.append(_size(legs, units))
    strikes = sorted({leg.fill.strike for leg in legs if leg.fill.strike is not None})
    if strikes:
        parts.append(f"strike{'s' * (len(strikes) > 1)} {'/'.join(plain(strike) for strike in strikes)}")
    if len({leg.fill.expiry for leg in legs if leg.fill.expiry}) > 1:
        parts.append("several expiries")
    parts.append(_DOING.get(member.action) or (member.sub_type or member.action).replace("_", " ").lower())
    parts += _net(legs, units, premium)
    name, share = _rival(member)
    other = "" if name is None or share is None or share < _SHOWN else f". Otherwise: {display_name(name)} {share:.2f}"
    return f"{', '.join(parts)}: {display_name(member.strategy_type)} {member.confidence:.2f}{other}"


def _size(legs: Sequence[Leg], units: int) -> str:
    if any(leg.fill.is_option for leg in legs) or not legs:
        return f"{units} unit{'s' * (units != 1)}"
    return f"{plain(sum((leg.qty for leg in legs), ZERO))} of {legs[0].fill.symbol}"


def _lasting(seconds: Decimal) -> str:
    return f"{seconds:.1f} s" if seconds < _TWO_MINUTES else f"{int(seconds) // 60} min"


def _net(legs: Sequence[Leg], units: int, premium: Decimal | None) -> list[str]:
    """The premium per unit of the underlying, as it is quoted."""
    sizes = {leg.multiplier for leg in legs if leg.fill.is_option}
    size = sizes.pop() if len(sizes) == 1 else None
    if premium is None or not size:
        return []
    price = trimmed(quotient(abs(premium), units * size, 8))
    return [f"net {'debit' if premium < 0 else 'credit'} {plain(price)}"]
