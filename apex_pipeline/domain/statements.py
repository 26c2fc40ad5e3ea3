"""What a broker's statement says beside orders, trades and fees: lots, cash, corporate actions, and its own sums.

Most of it is what our own numbers are compared with, so it is kept as the broker told it. Rows belong to an account
and a `business_date`, on which they are told whole. `qty` and amounts are signed: negative is short, or paid; costs
carry the sign of their quantity. `broker_kind` and the like are the broker's own words.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.ledger import Action
from apex_pipeline.domain.models import AssetClass, Broker


@dataclass(frozen=True, slots=True)
class BrokerTradeFigures:
    """What a broker computed for one trade. `cost_basis`: of what it opened, or of what it closed with opposite sign.

    `realized_pnl` is net of charges; `fx_rate_to_base` is the rate at the end of the day, not a dealt one.
    """

    trade_uid: str
    broker: Broker
    account_id: str
    business_date: date
    symbol: str
    proceeds: Decimal | None
    net_cash: Decimal | None
    cost_basis: Decimal | None
    realized_pnl: Decimal | None
    mtm_pnl: Decimal | None
    fx_rate_to_base: Decimal | None
    currency: str | None
    position_effect: str | None
    source: str


@dataclass(frozen=True, slots=True)
class BrokerLot:
    """An open lot at the end of a day. `open_price` per unit; `cost_basis` of the whole lot, charges included.

    `open_trade_id`: the broker's id of the trade that opened it, where it says so.
    """

    lot_uid: str
    broker: Broker
    account_id: str
    business_date: date
    symbol: str
    underlying: str | None
    asset_class: AssetClass
    qty: Decimal
    opened_at: datetime | None
    open_price: Decimal | None
    cost_basis: Decimal | None
    market_value: Decimal | None
    unrealized_pnl: Decimal | None
    currency: str | None
    open_trade_id: str | None
    source: str
    instrument_id: str | None


@dataclass(frozen=True, slots=True)
class ClosedLot:
    """A piece that a trade closed, as the broker matched it. `qty` as told; `realized_pnl` net of charges.

    `open_trade_id`: the broker's id of the trade that opened it. `broker_side`: the direction of the closing trade.
    """

    lot_uid: str
    broker: Broker
    account_id: str
    business_date: date
    symbol: str
    underlying: str | None
    asset_class: AssetClass
    qty: Decimal
    broker_side: str | None
    opened_at: datetime | None
    closed_at: datetime | None
    open_price: Decimal | None
    cost_basis: Decimal | None
    realized_pnl: Decimal | None
    currency: str | None
    open_trade_id: str | None
    notes: str | None
    source: str
    instrument_id: str | None


@dataclass(frozen=True, slots=True)
class BrokerFigures:
    """One row of a statement's own sums, such as the cash report of a currency.

    `section` is the broker's name of it; `subject` what the row is about (a currency, a symbol, or an empty text for
    the account); the sums are of the days `from_date` to `to_date`, the latter being the `business_date`. `figures`
    holds every number of the row under the broker's own names, exact.
    """

    figures_uid: str
    broker: Broker
    account_id: str
    business_date: date
    section: str
    subject: str
    from_date: date | None
    to_date: date
    currency: str | None
    figures: dict[str, Any]
    source: str


@dataclass(frozen=True, slots=True)
class FundsLine:
    """One line of the statement of funds; `balance` is the running balance of its currency after it.

    `level`: the broker's level of the line (per currency, or everything in the base currency). `from_date` and
    `to_date`: the days of the statement, for lines that stand anew in every window: opening and closing balances, and
    what is told in the base currency. None for lines that are told once.
    """

    line_uid: str
    broker: Broker
    account_id: str
    business_date: date
    level: str | None
    currency: str | None
    activity_code: str | None
    description: str | None
    symbol: str | None
    amount: Decimal | None
    balance: Decimal | None
    activity_date: date | None
    settle_date: date | None
    broker_trade_id: str | None
    broker_transaction_id: str | None
    from_date: date | None
    to_date: date | None
    source: str


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """One row of a corporate action; a split is a pair of rows with one `broker_action_id`."""

    action_uid: str
    broker: Broker
    account_id: str
    business_date: date
    broker_transaction_id: str | None
    broker_action_id: str | None
    broker_kind: str | None
    symbol: str
    underlying: str | None
    asset_class: AssetClass
    qty: Decimal | None
    amount: Decimal | None
    proceeds: Decimal | None
    value: Decimal | None
    realized_pnl: Decimal | None
    currency: str | None
    happened_at: datetime | None
    description: str | None
    source: str
    kind: Action | None
    instrument_id: str | None


@dataclass(frozen=True, slots=True)
class Transfer:
    """Securities or cash moved between accounts. `direction` is IN or OUT as told; `symbol` None for cash alone."""

    transfer_uid: str
    broker: Broker
    account_id: str
    business_date: date
    broker_transaction_id: str | None
    broker_kind: str | None
    direction: str | None
    symbol: str | None
    underlying: str | None
    asset_class: AssetClass | None
    qty: Decimal | None
    price: Decimal | None
    position_amount: Decimal | None
    cash_amount: Decimal | None
    currency: str | None
    other_account: str | None
    settle_date: date | None
    description: str | None
    source: str
    instrument_id: str | None


@dataclass(frozen=True, slots=True)
class ConversionRate:
    """The broker's rate of a day: one unit of `from_currency` is `rate` units of `to_currency`."""

    rate_uid: str
    broker: Broker
    account_id: str
    business_date: date
    from_currency: str
    to_currency: str
    rate: Decimal
    source: str


@dataclass(frozen=True, slots=True)
class DividendAccrual:
    """A dividend that was accrued or taken back from the accruals; not cash. `codes` say which of the two."""

    accrual_uid: str
    broker: Broker
    account_id: str
    business_date: date
    symbol: str
    ex_date: date | None
    pay_date: date | None
    qty: Decimal | None
    gross_rate: Decimal | None
    gross_amount: Decimal | None
    tax: Decimal | None
    fee: Decimal | None
    net_amount: Decimal | None
    currency: str | None
    codes: str | None
    broker_action_id: str | None
    source: str


@dataclass(frozen=True, slots=True)
class OptionEvent:
    """How an option ended, or the shares that it delivered, in the broker's own section about it."""

    event_uid: str
    broker: Broker
    account_id: str
    business_date: date
    broker_kind: str | None
    symbol: str
    underlying: str | None
    asset_class: AssetClass
    qty: Decimal | None
    price: Decimal | None
    proceeds: Decimal | None
    cost_basis: Decimal | None
    realized_pnl: Decimal | None
    currency: str | None
    broker_trade_id: str | None
    link_id: str | None
    source: str


@dataclass(frozen=True, slots=True)
class QueryGap:
    """A section or field that the person's query leaves out; `field` is empty where the whole section is missing.

    `needed_for` says what cannot be known without it.
    """

    gap_uid: str
    broker: Broker
    account_id: str
    business_date: date
    query: str
    section: str
    field: str
    needed_for: str


@dataclass(frozen=True, slots=True)
class StatementFacts:
    """The rows of a broker's statements, by the table they belong to."""

    broker_trade_figures: list[BrokerTradeFigures] = field(default_factory=list[BrokerTradeFigures])
    broker_lots: list[BrokerLot] = field(default_factory=list[BrokerLot])
    broker_closed_lots: list[ClosedLot] = field(default_factory=list[ClosedLot])
    broker_figures: list[BrokerFigures] = field(default_factory=list[BrokerFigures])
    broker_funds: list[FundsLine] = field(default_factory=list[FundsLine])
    corporate_actions: list[CorporateAction] = field(default_factory=list[CorporateAction])
    transfers: list[Transfer] = field(default_factory=list[Transfer])
    conversion_rates: list[ConversionRate] = field(default_factory=list[ConversionRate])
    dividend_accruals: list[DividendAccrual] = field(default_factory=list[DividendAccrual])
    option_events: list[OptionEvent] = field(default_factory=list[OptionEvent])
    query_gaps: list[QueryGap] = field(default_factory=list[QueryGap])
