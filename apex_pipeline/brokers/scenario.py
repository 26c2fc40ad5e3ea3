"""Seeded truth that every simulator retells: who ordered, filled and paid what.

`scenario_generator.generate(seed, orders, days, end)` makes one, as a pure function of its arguments. Money
is exact Decimal, times are aware UTC, dates are the exchange's. Nothing here knows a broker's words.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from apex_pipeline.domain.models import (
    AssetClass,
    Broker,
    CashKind,
    FeeType,
    OptionRight,
    OrderStatus,
    Side,
    TradeKind,
)


@dataclass(frozen=True, slots=True)
class Contract:
    """A tradable thing. `code` is the stock ("AAPL", "00700"); `root` is the option class ("AAPL", "TCH").

    `exchange` is where it is listed; `lot` is the smallest tradable number of shares or contracts;
    `underlying_conid` is the conid of an option's stock.
    A combination has asset class COMBO and the multiplier of its options.
    """

    market: str
    asset_class: AssetClass
    code: str
    root: str
    name: str
    currency: str
    multiplier: Decimal
    conid: int
    strike: Decimal | None = None
    expiry: date | None = None
    right: OptionRight | None = None
    exchange: str = ""
    lot: int = 1
    underlying_conid: int | None = None


@dataclass(frozen=True, slots=True)
class Leg:
    """A member of a combination; `ratio` in contracts, or in shares for a stock leg.

    `side` is what really happens to the leg, whatever the side of the whole combination is.
    """

    contract: Contract
    side: Side
    ratio: int


@dataclass(frozen=True, slots=True)
class Charge:
    """One fee; positive when paid. `title` is a plain English hint of what a broker would print."""

    fee_type: FeeType
    amount: Decimal
    title: str = ""


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution; `fill_id` is unique over the whole scenario and fits 63 bits.

    `charges` are used by brokers that charge by execution (IB); the others charge the order.
    """

    fill_id: int
    contract: Contract
    side: Side
    qty: Decimal
    price: Decimal
    at: datetime
    trade_date: date
    charges: tuple[Charge, ...] = ()


@dataclass(frozen=True, slots=True)
class ScenarioOrder:
    """One order with its whole life. `legs` is empty for a single instrument.

    `group`: orders of one trade idea share it; `strategy` is its id in the taxonomy, `action` OPEN or CLOSE.
    `charges` belong to the whole order. `combo`: orders with the same number were sent as one combination
    by a broker that books each leg as an order of its own (IB). `time_in_force` is DAY or GTC.
    The price of an order with legs is positive: paid when `side` is BUY, received when it is SELL.
    `trade_date` is the exchange date of creation; a fill has its own.
    """

    number: int
    broker: Broker
    account_id: str
    contract: Contract
    legs: tuple[Leg, ...]
    side: Side
    opening: bool
    order_type: str
    status: OrderStatus
    qty: Decimal
    limit_price: Decimal | None
    created_at: datetime
    updated_at: datetime
    trade_date: date
    fills: tuple[Fill, ...]
    charges: tuple[Charge, ...]
    group: int
    strategy: str
    action: str
    combo: int | None = None
    time_in_force: str = "DAY"

    @property
    def filled_qty(self) -> Decimal:
        """Filled quantity in units of the order (of the combination where there are legs)."""
        if not self.legs:
            return sum((f.qty for f in self.fills), Decimal(0))
        first = self.legs[0]
        return sum((f.qty for f in self.fills if f.contract == first.contract), Decimal(0)) / first.ratio


@dataclass(frozen=True, slots=True)
class Event:
    """A book entry without an order: expiry, assignment, exercise, and the stock leg that follows.

    The stock leg has the kind of its option leg and names it in `related`; the option leg names none.
    """

    event_id: int
    broker: Broker
    account_id: str
    kind: TradeKind
    contract: Contract
    side: Side
    qty: Decimal
    price: Decimal
    at: datetime
    trade_date: date
    related: int | None = None


@dataclass(frozen=True, slots=True)
class CashBooking:
    """One movement of cash; `amount` is signed: positive received, negative paid.

    `contract` is what was traded, paid a dividend or, as an option, was assigned or exercised; `qty` is signed
    shares or contracts of it, of an option that ended their unsigned number; `per_share` the dividend or strike.
    `order`: number of the order that is settled or charged.
    """

    account_id: str
    kind: CashKind
    booked_on: date
    settles_on: date
    currency: str
    amount: Decimal
    contract: Contract | None = None
    qty: Decimal | None = None
    per_share: Decimal | None = None
    order: int | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """A position at the end of the scenario; `qty` is signed, `average_price` is without fees."""

    broker: Broker
    account_id: str
    contract: Contract
    qty: Decimal
    average_price: Decimal
    mark_price: Decimal


@dataclass(frozen=True, slots=True)
class ScenarioAccount:
    """An account of the scenario; `markets` are HK and US, `status` is ACTIVE or DISABLED.

    `last_day`: the last day on which a disabled account traded; it holds nothing afterwards.
    """

    broker: Broker
    account_id: str
    environment: str
    status: str
    markets: tuple[str, ...]
    last_day: date | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that happened between `start` and `end` (inclusive).

    `closes`: daily closing prices by (market, stock code), for every session day. `cash`: what moved the cash of
    Futu accounts beside trades; the settlements that follow from orders and events are in `scenario_cash.cash_flow`.
    """

    seed: int
    start: date
    end: date
    accounts: dict[Broker, tuple[str, ...]]
    orders: tuple[ScenarioOrder, ...]
    events: tuple[Event, ...]
    holdings: tuple[Holding, ...]
    account_details: tuple[ScenarioAccount, ...] = ()
    closes: Mapping[tuple[str, str], Mapping[date, Decimal]] = field(
        default_factory=dict[tuple[str, str], Mapping[date, Decimal]]
    )
    cash: tuple[CashBooking, ...] = ()


@dataclass(frozen=True, slots=True)
class Truth:
    """What a database must show after loading one broker of a scenario completely.

    `orders`: Futu all orders, IB orders with at least one fill (Flex knows no others).
    `trades`: Futu fills (expiries and assignments are no deals there), IB fills and events. `endings` and
    `ending_amounts`: number and amounts of the Futu events, options and delivered shares, by kind: what cash flow
    and positions tell beside the deals; none for IB, which counts them in `trades`.
    `fees`: sum of all charges by currency, of orders and of fills; rebates lower it. The number of fee
    rows is not told, because one charge may be split into several rows.
    `amounts`: sum of qty x price x multiplier by currency, unsigned, over the counted trades; options that
    expire or are assigned count with price 0, the stock delivered counts with the strike.
    """

    orders: int
    trades: int
    fees: dict[str, Decimal]
    amounts: dict[str, Decimal]
    endings: dict[TradeKind, int] = field(default_factory=dict[TradeKind, int])
    ending_amounts: dict[str, Decimal] = field(default_factory=dict[str, Decimal])


def truth(scenario: Scenario) -> dict[Broker, Truth]:
    """Counts and sums by broker, as defined in `Truth`."""
    return {broker: _truth_of(scenario, broker) for broker in Broker}


def _truth_of(scenario: Scenario, broker: Broker) -> Truth:
    orders = [o for o in scenario.orders if o.broker == broker and (broker == Broker.FUTU or o.fills)]
    trades: list[Fill | Event] = [f for o in orders for f in o.fills]
    events = [e for e in scenario.events if e.broker == broker]
    if broker == Broker.IB:
        trades += events
        events = []
    charged = ((o.contract.currency, c.amount) for o in orders for c in (*o.charges, *_fill_charges(o)))
    gross = ((t.contract.currency, t.qty * t.price * t.contract.multiplier) for t in trades)
    ended = ((e.contract.currency, e.qty * e.price * e.contract.multiplier) for e in events)
    return Truth(
        len(orders), len(trades), _by_currency(charged), _by_currency(gross), dict(Counter(e.kind for e in events)),
        _by_currency(ended),
    )  # fmt: skip


def _fill_charges(order: ScenarioOrder) -> Iterable[Charge]:
    return (charge for fill in order.fills for charge in fill.charges)


def _by_currency(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for currency, amount in amounts:
        sums[currency] += amount
    return dict(sums)
