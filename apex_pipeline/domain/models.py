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


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution, or one book entry of the broker (expiry, exercise, assignment).

    `effective`: False for a busted fill, for an original that a cancel reversed and for that cancel
    itself; positions and sums count effective rows only. A reversing row carries the opposite side of
    its original, so the pair also cancels out in a plain signed sum.
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
