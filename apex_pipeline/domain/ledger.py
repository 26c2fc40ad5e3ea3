"""The rows of the ledger, and the one place where their signs and units are said.

* `qty` of a movement, a lot and a position is signed: positive is long, or acquired. `qty` of a closing, of an event
  and of a round trip is positive; `direction` or `side` says which way.
* `cost_basis` is signed like its quantity: what a long cost with its fees, minus what a short brought after them.
  A lot's is qty x open_price x multiplier + fees - carried_pnl.
* `carried_pnl` is P&L that came from another row: the premium of an option that was exercised or assigned, which the
  shares carry on. It raises the P&L of its row; on the option's own row the same amount stands with the other sign.
* `fees` are positive when paid. None says that the broker has told none; they count as nothing in sums meanwhile.
* `instrument_id` is the broker's own id of the instrument (conid, Futu code), by which rows are matched: a ticker may
  change. `symbol` is its name at the time of the row.
* rows are ordered by (`business_date`, `ordered_at`, `place`, `sequence`, uid); see `order_of`.
"""

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

from apex_pipeline.domain.models import AssetClass, Broker, CashKind, Side


class MovementKind(StrEnum):
    """Why a position changed; the first five are those of trades."""

    TRADE = "TRADE"
    EXERCISE = "EXERCISE"
    ASSIGNMENT = "ASSIGNMENT"
    EXPIRATION = "EXPIRATION"
    OTHER = "OTHER"
    CORPORATE_ACTION = "CORPORATE_ACTION"
    TRANSFER = "TRANSFER"
    OPENING = "OPENING"


class Action(StrEnum):
    """What a corporate action is. Of those that no rule covers the ledger stops (UNKNOWN, or UNTOLD without a type)."""

    SPLIT = "SPLIT"
    SYMBOL_CHANGE = "SYMBOL_CHANGE"
    MERGER = "MERGER"
    UNKNOWN = "UNKNOWN"
    UNTOLD = "UNTOLD"


class Place(IntEnum):
    """The order of movements of one instant: what the day starts with, trades, ends of options, shares they deliver."""

    OPENING = 0
    CORPORATE_ACTION = 1
    TRANSFER = 2
    TRADE = 3
    OPTION_END = 4
    DELIVERY = 5


class LotMethod(StrEnum):
    """How an account matches closings with lots."""

    FIFO = "FIFO"
    AVERAGE = "AVERAGE"
    SPECIFIC = "SPECIFIC"


class BasisSource(StrEnum):
    """Where the basis of a lot or closing is known from.

    TRADES: computed from known trades. BROKER_LOT, BROKER_CLOSED_LOT: the broker's lot data. PERSON: signed by one.
    BROKER_CLOSE: only from the broker's own figure for the closing trade, so it is outside the proof.
    UNKNOWN: not known; basis and P&L are None. BROKER_POSITION is the source of an opening without any basis, that the
    broker's first snapshot of positions tells: the basis of its lot is UNKNOWN.
    """

    TRADES = "TRADES"
    BROKER_LOT = "BROKER_LOT"
    BROKER_CLOSED_LOT = "BROKER_CLOSED_LOT"
    PERSON = "PERSON"
    BROKER_CLOSE = "BROKER_CLOSE"
    BROKER_POSITION = "BROKER_POSITION"
    UNKNOWN = "UNKNOWN"


class Direction(StrEnum):
    LONG = "LONG"
    SHORT = "SHORT"


class Rule(StrEnum):
    """What a person may say about an account from a date on."""

    LOT_METHOD = "LOT_METHOD"
    BASE_CURRENCY = "BASE_CURRENCY"
    REGIME = "REGIME"


class PositionEventKind(StrEnum):
    OPENED = "OPENED"
    INCREASED = "INCREASED"
    REDUCED = "REDUCED"
    CLOSED = "CLOSED"
    FLIPPED = "FLIPPED"
    EXPIRED = "EXPIRED"
    ASSIGNED = "ASSIGNED"
    EXERCISED = "EXERCISED"


@dataclass(frozen=True, slots=True)
class PositionMovement:
    """One thing that changed a position.

    `action` is set for corporate actions. `money`: what a corporate action paid (positive received). `link_id`: both
    legs of an exercise or assignment share one, and so do the rows of one corporate action. `broker_cost`: the basis
    that the broker states for this closing, signed like the closed quantity; of a corporate action the basis that it
    sets against the money, which is money less gain.
    """

    movement_uid: str
    broker: Broker
    account_id: str
    instrument_id: str
    symbol: str
    underlying: str | None
    asset_class: AssetClass
    business_date: date
    moved_at: datetime | None
    ordered_at: datetime
    place: int
    sequence: Decimal | None
    kind: MovementKind
    action: Action | None
    qty: Decimal
    price: Decimal | None
    multiplier: Decimal | None
    fees: Decimal | None
    money: Decimal | None
    currency: str | None
    position_effect: str | None
    link_id: str | None
    broker_cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Lot:
    """What one movement opened, and what is left of it.

    `opened_on` and `opened_at` are those of the original opening and survive splits; `started_on` is the day on which
    this row came to exist. `origin` is the kind of the movement that made it. `closed_on` is None while it is open.
    """

    lot_uid: str
    broker: Broker
    account_id: str
    instrument_id: str
    symbol: str
    underlying: str | None
    asset_class: AssetClass
    open_trade_uid: str | None
    origin: MovementKind
    opened_at: datetime | None
    opened_on: date
    started_on: date
    ordered_at: datetime
    place: int
    sequence: Decimal | None
    qty: Decimal
    open_price: Decimal | None
    multiplier: Decimal | None
    fees: Decimal | None
    carried_pnl: Decimal
    cost_basis: Decimal | None
    remaining_qty: Decimal
    remaining_cost: Decimal | None
    currency: str | None
    closed_at: datetime | None
    closed_on: date | None
    method: LotMethod
    basis_source: BasisSource


@dataclass(frozen=True, slots=True)
class LotMove:
    """A part of a lot that left without a gain; `to_lot_uid` None when it left the account."""

    move_uid: str
    broker: Broker
    account_id: str
    instrument_id: str
    lot_uid: str
    to_lot_uid: str | None
    movement_uid: str
    moved_on: date
    qty: Decimal
    cost_basis: Decimal | None


@dataclass(frozen=True, slots=True)
class RealizedPnl:
    """A piece of a lot that one movement closed. `cost_basis` is that of the piece, signed like a lot's.

    `close_trade_uid` is the uid of the closing movement: of a trade, or of a corporate action.
    The base currency columns are filled where a rate of the day is known.
    """

    realized_uid: str
    broker: Broker
    account_id: str
    instrument_id: str
    symbol: str
    underlying: str | None
    asset_class: AssetClass
    kind: MovementKind
    direction: Direction
    lot_uid: str | None
    open_trade_uid: str | None
    close_trade_uid: str
    qty: Decimal
    multiplier: Decimal | None
    open_price: Decimal | None
    close_price: Decimal | None
    open_fees: Decimal | None
    close_fees: Decimal | None
    carried_pnl: Decimal
    cost_basis: Decimal | None
    realized_pnl: Decimal | None
    currency: str | None
    fx_rate_to_base: Decimal | None
    realized_pnl_base: Decimal | None
    base_currency: str | None
    opened_at: datetime | None
    closed_at: datetime | None
    opened_on: date | None
    closed_on: date
    method: LotMethod
    basis_source: BasisSource


@dataclass(frozen=True, slots=True)
class LedgerStop:
    """A movement that no rule covers: from it on the lots of its instrument are not known."""

    stop_uid: str
    broker: Broker
    account_id: str
    instrument_id: str
    symbol: str
    business_date: date
    reason_code: str
    reason: str


@dataclass(frozen=True, slots=True)
class OpeningBalance:
    """A lot that no known trade opened. `source` is BROKER_LOT, BROKER_CLOSED_LOT, BROKER_POSITION or PERSON."""

    opening_uid: str
    broker: Broker
    account_id: str
    instrument_id: str
    symbol: str
    underlying: str | None
    asset_class: AssetClass
    qty: Decimal
    opened_at: datetime | None
    opened_on: date
    open_price: Decimal | None
    cost_basis: Decimal | None
    multiplier: Decimal | None
    currency: str | None
    open_trade_id: str | None
    source: BasisSource
    note: str | None


@dataclass(frozen=True, slots=True)
class AccountRule:
    """What a person said about an account from `from_date` on."""

    account_id: str
    rule: Rule
    from_date: date
    value: str
    set_at: datetime


@dataclass(frozen=True, slots=True)
class LotSelection:
    """A lot that a person chose for a closing trade."""

    close_trade_uid: str
    open_trade_uid: str
    qty: Decimal


@dataclass(frozen=True, slots=True)
class DailyPosition:
    """A position at the end of a day. `avg_cost` is per share or unit of the underlying, fees included."""

    business_date: date
    broker: Broker
    account_id: str
    instrument_id: str
    symbol: str
    underlying: str | None
    asset_class: AssetClass
    qty: Decimal
    avg_cost: Decimal | None
    cost_basis: Decimal | None
    mark_price: Decimal | None
    market_value: Decimal | None
    unrealized_pnl: Decimal | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class PositionEvent:
    """A step in the life of a position; `position_qty` is the signed position after it, `qty` what changed."""

    event_uid: str
    position_uid: str
    broker: Broker
    account_id: str
    instrument_id: str
    symbol: str
    event: PositionEventKind
    at: datetime | None
    business_date: date
    qty: Decimal
    price: Decimal | None
    position_qty: Decimal
    realized_pnl: Decimal | None
    currency: str | None
    holding_days: int
    trade_uid: str | None


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """One life of a position. `quantity` is everything that was opened; prices are averages without fees.

    `side` is that of the opening. `source` is LEDGER, or names the engine that wrote it.
    """

    trade_id: str
    broker: Broker | None
    account_id: str | None
    instrument_id: str | None
    symbol: str
    underlying: str | None
    asset_class: AssetClass | None
    side: Side
    quantity: Decimal
    entry_price: Decimal | None
    exit_price: Decimal | None
    entry_at: datetime | None
    exit_at: datetime | None
    entry_date: date | None
    exit_date: date | None
    realized_pnl: Decimal | None
    fees: Decimal | None
    currency: str | None
    status: str
    strategy_uid: str | None
    source: str


@dataclass(frozen=True, slots=True)
class BookPosition:
    """A position of the current book; `quantity` is signed. `source` says who told it last (LEDGER or a broker)."""

    position_id: str
    broker: Broker
    account_id: str
    symbol: str
    quantity: Decimal
    entry_price: Decimal | None
    exit_price: Decimal | None
    status: str
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal | None
    currency: str | None
    opened_at: datetime | None
    closed_at: datetime | None
    synced_at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class CashEntry:
    """One movement of cash; `amount` positive received. One of the uids names what it came from."""

    entry_uid: str
    broker: Broker
    account_id: str
    currency: str
    booked_on: date
    settle_date: date
    kind: CashKind
    amount: Decimal
    symbol: str | None
    trade_uid: str | None
    cash_uid: str | None
    fee_uid: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class CashState:
    """Cash of one currency at the end of a day; None where the cash before the first known day is not known."""

    account_id: str
    currency: str
    as_of: date
    broker: Broker
    total_cash: Decimal | None
    settled_cash: Decimal | None
    unsettled_cash: Decimal | None


@dataclass(frozen=True, slots=True)
class CalendarOverride:
    """A day on which the library of calendars is wrong or cannot know; `closes_at` is wall clock of the exchange."""

    calendar: str
    on_date: date
    is_session: bool
    is_settlement_day: bool
    closes_at: time | None
    reason: str


@dataclass(frozen=True, slots=True)
class MarketDay:
    """A day of a calendar, with the overrides applied."""

    calendar: str
    on_date: date
    is_session: bool
    is_settlement_day: bool
    opens_at: datetime | None
    closes_at: datetime | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """When a trade settles by the rule of its market, and by the broker. `amount` is signed: negative is paid."""

    trade_uid: str
    broker: Broker
    account_id: str
    symbol: str
    market: str | None
    trade_date: date
    settlement_date: date | None
    broker_settlement_date: date | None
    rule: str | None
    amount: Decimal | None
    currency: str | None
    status: str


@dataclass(frozen=True, slots=True)
class DayTrade:
    """A position opened and closed on one day; the first uids of both lists stand alone for those who read one."""

    day_trade_uid: str
    broker: Broker
    account_id: str
    symbol: str
    trade_date: date
    method: str
    open_trade_uid: str
    close_trade_uid: str
    open_trade_uids: list[Any]
    close_trade_uids: list[Any]
    qty: Decimal
    regime: str


@dataclass(frozen=True, slots=True)
class TradeFrequency:
    """How often an account traded in a day or week. `day_trades_in_five_days`: of the five sessions that end then."""

    account_id: str
    period: str
    period_start: date
    broker: Broker
    trade_count: int
    order_count: int
    day_trade_count: int
    day_trades_in_five_days: int | None
    regime: str
    warning: str | None


@dataclass(frozen=True, slots=True)
class WashSaleFlag:
    """A loss beside a purchase of the same underlying within 30 days. Information, not tax advice."""

    flag_uid: str
    broker: Broker
    account_id: str
    symbol: str
    loss_trade_uid: str
    closed_on: date
    realized_pnl: Decimal
    currency: str | None
    acquired_trade_uid: str
    acquired_account_id: str
    acquired_symbol: str
    acquired_on: date
    note: str


@dataclass(frozen=True, slots=True)
class Performance:
    """Value and results of one account and period; money in `currency`, returns as fractions (0.01 is 1 %).

    `scope` is ACCOUNT, STRATEGY or UNDERLYING; the latter two have only what was realized. `win_rate` is of the
    closed round trips of the account up to then.
    """

    account_id: str
    period: str
    as_of: datetime
    scope: str
    scope_id: str
    broker: Broker
    business_date: date
    currency: str | None
    net_liquidation: Decimal | None
    cash: Decimal | None
    positions_value: Decimal | None
    realized_pnl: Decimal | None
    unrealized_pnl: Decimal | None
    fees: Decimal | None
    net_flow: Decimal | None
    daily_return: Decimal | None
    cumulative_return: Decimal | None
    drawdown: Decimal | None
    win_rate: Decimal | None
    total_trades: int
    source: str


def order_of(row: PositionMovement) -> tuple[date, datetime, int, Decimal, str]:
    """Where a movement stands: the order in which lots are opened and closed. Unknown sequences come last."""
    sequence = Decimal("Infinity") if row.sequence is None else row.sequence
    return row.business_date, row.ordered_at, row.place, sequence, row.movement_uid
