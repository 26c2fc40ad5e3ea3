"""The normalized rows, and the one place where signs, units and zones are said.

* `qty` is positive; `side` says the direction. `qty` counts shares or contracts.
* `price` is per share or per unit of the underlying, in `currency`; combos may have a negative net price.
* `amount` of a trade is qty x price x multiplier, without fees; None when the multiplier is unknown.
* a fee's `amount` is positive when paid and negative when it was a rebate.
* `*_at` is an aware UTC instant; `*_date` and `*_on` are the exchange's own date.
* `underlying` of an option is the symbol of its stock or index, of a stock its own symbol.
* unknown is None, never 0 and never an empty text.

The columns of a table are the fields of its class, in this order; a test compares them with the database.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Broker(StrEnum):
    FUTU = "FUTU"
    IB = "IB"

    @classmethod
    def named(cls, name: str) -> "Broker":
        """The broker of a name in any case; ValueError for another."""
        return cls(name.upper())


class AssetClass(StrEnum):
    STOCK = "STOCK"
    OPTION = "OPTION"
    FUTURE = "FUTURE"
    FUTURE_OPTION = "FUTURE_OPTION"
    FX = "FX"
    BOND = "BOND"
    FUND = "FUND"
    WARRANT = "WARRANT"
    CFD = "CFD"
    CRYPTO = "CRYPTO"
    COMBO = "COMBO"
    INDEX = "INDEX"
    OTHER = "OTHER"


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"


class OrderStatus(StrEnum):
    PENDING = "PENDING"
    OPEN = "OPEN"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    PARTIAL_CANCELLED = "PARTIAL_CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"


class TradeKind(StrEnum):
    TRADE = "TRADE"
    CANCEL = "CANCEL"
    EXERCISE = "EXERCISE"
    ASSIGNMENT = "ASSIGNMENT"
    EXPIRATION = "EXPIRATION"
    OTHER = "OTHER"


class FeeType(StrEnum):
    COMMISSION = "COMMISSION"
    PLATFORM = "PLATFORM"
    EXCHANGE = "EXCHANGE"
    CLEARING = "CLEARING"
    REGULATORY = "REGULATORY"
    SETTLEMENT = "SETTLEMENT"
    STAMP_DUTY = "STAMP_DUTY"
    TAX = "TAX"
    OTHER = "OTHER"
    UNALLOCATED = "UNALLOCATED"


class CashKind(StrEnum):
    """Why cash moved. ASSIGNMENT, EXERCISE and EXPIRATION are settlements of the option named in `symbol`.

    OPENING is what was there before the first known day.
    """

    OPENING = "OPENING"
    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"
    TRANSFER = "TRANSFER"
    TRADE = "TRADE"
    FEE = "FEE"
    DIVIDEND = "DIVIDEND"
    INTEREST = "INTEREST"
    TAX = "TAX"
    FX = "FX"
    FUND = "FUND"
    CORPORATE_ACTION = "CORPORATE_ACTION"
    ASSIGNMENT = "ASSIGNMENT"
    EXERCISE = "EXERCISE"
    EXPIRATION = "EXPIRATION"
    OTHER = "OTHER"


class OptionRight(StrEnum):
    CALL = "C"
    PUT = "P"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tradable contract under its canonical name (see `domain.instruments`)."""

    symbol: str
    underlying: str | None
    asset_class: AssetClass
    strike: Decimal | None
    expiry: date | None
    option_right: OptionRight | None
    multiplier: Decimal | None
    currency: str | None
    exchange: str | None
    name: str | None
    futu_code: str | None
    ib_symbol: str | None
    ib_conid: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """One instruction to a broker. A combination is one row; its legs stand in `legs`.

    `legs`: None for a single instrument, else a list of {symbol, side, ratio}; ratio in contracts, or
    in shares for a stock leg.
    `declared_strategy`: the broker's own name of the combination, as sent.
    `source`: the kind of records it was read from; `futu_deals` marks an order that Futu never told and that
    was rebuilt from its deals, with everything unknown that deals do not say.
    """

    order_uid: str
    broker: Broker
    account_id: str
    broker_order_id: str
    market: str | None
    symbol: str
    underlying: str | None
    asset_class: AssetClass
    side: Side | None
    position_effect: str | None
    order_type: str | None
    status: OrderStatus
    broker_status: str | None
    qty: Decimal | None
    filled_qty: Decimal | None
    limit_price: Decimal | None
    avg_price: Decimal | None
    currency: str | None
    multiplier: Decimal | None
    created_at: datetime | None
    updated_at: datetime | None
    trade_date: date
    combo_id: str | None
    legs: list[dict[str, Any]] | None
    declared_strategy: str | None
    remark: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution, or one book entry of the broker (expiry, exercise, assignment).

    `effective`: False for a busted fill, for an original that a cancel reversed and for that cancel
    itself; positions and sums count effective rows only. A reversing row carries the opposite side of
    its original, so the pair also cancels out in a plain signed sum.
    `report_date`: the day of the statement that first told it, where that is another day than `trade_date` may be.
    `instrument_id`: the broker's own id of the instrument, which outlives a change of ticker.
    `source`: the interface that told it; one that a statement has yet to confirm is provisional.
    """

    trade_uid: str
    order_uid: str | None
    broker: Broker
    account_id: str
    broker_trade_id: str
    exec_id: str | None
    market: str | None
    symbol: str
    underlying: str | None
    asset_class: AssetClass
    kind: TradeKind
    effective: bool
    side: Side
    qty: Decimal
    price: Decimal
    multiplier: Decimal | None
    amount: Decimal | None
    currency: str | None
    executed_at: datetime | None
    trade_date: date
    settle_date: date | None
    position_effect: str | None
    link_id: str | None
    source: str
    report_date: date | None
    instrument_id: str | None


@dataclass(frozen=True, slots=True)
class Fee:
    """One charge. Parts only, never a total beside them: the parts of an order sum to the broker's total."""

    fee_uid: str
    order_uid: str | None
    trade_uid: str | None
    broker: Broker
    account_id: str
    fee_type: FeeType
    broker_fee_name: str
    amount: Decimal
    currency: str | None
    charged_on: date


@dataclass(frozen=True, slots=True)
class FeeAllocation:
    """The part of an order's fee that one of its trades bears; the parts of a fee sum to it exactly."""

    fee_uid: str
    trade_uid: str
    broker: Broker
    account_id: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class CashMovement:
    """One booking of cash. `amount` is signed: positive received, negative paid.

    `symbol`: the instrument it is about, where the broker says so. `event_date`: the day of the event that is
    settled by it (of an assignment, say); `booked_on` is the day the broker booked it on.
    """

    cash_uid: str
    broker: Broker
    account_id: str
    broker_cash_id: str
    kind: CashKind
    broker_kind: str | None
    symbol: str | None
    amount: Decimal
    currency: str | None
    booked_on: date
    settle_date: date | None
    event_date: date | None
    description: str | None
    source: str


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """A position as the broker told it; one snapshot a day and account, the newest of that day.

    `as_of`: when the broker told this state for the first time; being told it again changes nothing.

    `qty` is signed: negative is short. Costs and prices are per share or unit of the underlying.
    """

    business_date: date
    broker: Broker
    account_id: str
    broker_position_id: str
    symbol: str
    underlying: str | None
    asset_class: AssetClass
    qty: Decimal
    average_cost: Decimal | None
    mark_price: Decimal | None
    market_value: Decimal | None
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal | None
    currency: str | None
    as_of: datetime
    source: str


@dataclass(frozen=True, slots=True)
class BrokerBalance:
    """What the broker says an account holds in one currency; `as_of` as in `BrokerPosition`.

    `cash` is the cash in `currency`. `net_liquidation` and `market_value` are of the whole account and stand
    only on the row of the account's base currency.
    """

    business_date: date
    broker: Broker
    account_id: str
    currency: str
    cash: Decimal | None
    net_liquidation: Decimal | None
    market_value: Decimal | None
    as_of: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Drift:
    """A word of a broker that no rule knows: an enumeration's value, a field, a fee title. Its records are kept.

    One row per account and day; `records` counts them and `example_key` names one.
    """

    broker: Broker
    kind: str
    account_id: str
    business_date: date
    field: str
    value: str
    records: int
    example_key: str
