"""The registry of tables: their columns exist once, as the dataclass of the row, and their key here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_type_hints

from apex_pipeline.domain.engine import Instance, LoggedSignal, PortfolioPosition, PortfolioState, PyramidingState
from apex_pipeline.domain.ledger import (
    AccountRule,
    BookPosition,
    CalendarOverride,
    CashEntry,
    CashState,
    DailyPosition,
    DayTrade,
    LedgerStop,
    Lot,
    LotMove,
    LotSelection,
    MarketDay,
    OpeningBalance,
    Performance,
    PositionEvent,
    PositionMovement,
    RealizedPnl,
    RoundTrip,
    Settlement,
    TradeFrequency,
    WashSaleFlag,
)
from apex_pipeline.domain.market import AccountSnapshot, Bar, BarGap, ExchangeInfo, PositionSnapshot, TradeSignal
from apex_pipeline.domain.models import (
    Broker,
    BrokerBalance,
    BrokerPosition,
    CashMovement,
    Drift,
    Fee,
    FeeAllocation,
    Instrument,
    Order,
    Trade,
)
from apex_pipeline.domain.reconciliation import Break, BreakChange, Compared, ReconciledDay
from apex_pipeline.domain.results import Backtest, LlmCall, ResearchRecord, RiskSignal, RiskSnapshot, SystemEvent
from apex_pipeline.domain.statements import (
    BrokerFigures,
    BrokerLot,
    BrokerTradeFigures,
    ClosedLot,
    ConversionRate,
    CorporateAction,
    DividendAccrual,
    FundsLine,
    OptionEvent,
    QueryGap,
    Transfer,
)
from apex_pipeline.domain.strategies.cards import Strategy
from apex_pipeline.domain.strategies.chains import StrategyChain
from apex_pipeline.domain.strategies.classify import StrategyAssignment
from apex_pipeline.domain.strategies.telling import ChainGain
from apex_pipeline.domain.strategy_history import StrategyChange, StrategyFamily, StrategyHolding

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Table:
    """A table that the guarded merge may write.

    `keep_known`: columns where an unknown value never replaces a known one.
    `keep_first`: columns that keep the value of the first insert.
    `quiet`: columns that alone are no reason to write a row again, such as when a state was observed.
    `generated`: columns that the database fills where a row says None.
    `natural`: the unique columns that tell whether a row is known already, where the key is generated.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    keep_known: frozenset[str] = frozenset()
    keep_first: frozenset[str] = frozenset()
    quiet: frozenset[str] = frozenset()
    generated: frozenset[str] = frozenset()
    natural: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns by which a row is told again."""
        return self.natural or self.key


@dataclass(frozen=True, slots=True)
class RawRow:
    """The current version of one raw record."""

    account_id: str
    record_key: str
    order_id: str | None
    business_date: date
    payload: Mapping[str, Any]
    fetched_at: datetime
    generated_at: datetime | None
    load_id: int


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A record that could not be read."""

    quarantine_uid: str
    stage: str
    broker: Broker
    kind: str
    account_id: str | None
    broker_key: str | None
    business_date: date | None
    reason_code: str
    reason: str
    payload: Mapping[str, Any] | Sequence[Any]
    load_id: int | None
    first_seen_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class DirtyDay:
    """A day whose input changed since `stage` last ran."""

    stage: str
    broker: Broker
    account_id: str
    business_date: date


@dataclass(frozen=True, slots=True)
class LoadGap:
    """A covered day of which less is stored than the broker itself says there is."""

    broker: Broker
    account_id: str
    data_type: str
    business_date: date
    found_at: datetime


@dataclass(frozen=True, slots=True)
class SyncState:
    """How far a kind of data of an account was loaded: when last, up to which record, and how many came then."""

    broker: Broker
    account_id: str
    data_type: str
    market: str
    last_sync_at: datetime
    last_record_at: datetime | None
    status: str
    records: int


@cache
def columns_of(row: type) -> tuple[str, ...]:
    """The column names of a row class, in order."""
    return tuple(field.name for field in fields(row))


def as_row(row: Any) -> dict[str, Any]:
    """A dataclass as column values; nested values stay as they are."""
    return {name: getattr(row, name) for name in columns_of(cast("type[object]", type(row)))}


def row_as(cls: type[T], values: Mapping[str, Any]) -> T:
    """A row of the database as its dataclass, texts turned into the enums they stand for."""
    return cls(**{name: turn(values[name]) for name, turn in _turners(cls).items()})


@cache
def _turners(cls: type) -> dict[str, Callable[[Any], Any]]:
    hints = get_type_hints(cls)
    return {name: _turner(hints[name]) for name in columns_of(cls)}


def _turner(hint: Any) -> Callable[[Any], Any]:
    enums = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type) and issubclass(kind, Enum)]
    if not enums:
        return lambda value: value
    return lambda value: None if value is None else enums[0](value)


ORDERS = Table("orders_norm", columns_of(Order), ("order_uid",), frozenset({"multiplier", "remark"}))
TRADES = Table("trades_norm", columns_of(Trade), ("trade_uid",), frozenset({"multiplier", "amount"}))
FEES = Table("fees_norm", columns_of(Fee), ("fee_uid",))
INSTRUMENTS = Table(
    "instruments", columns_of(Instrument), ("symbol",), frozenset(columns_of(Instrument)) - {"symbol", "asset_class"}
)
STRATEGIES = Table("order_strategy_map", columns_of(StrategyAssignment), ("order_uid", "strategy_uid"))
STRATEGY_POSITIONS = Table(
    "strategy_positions",
    columns_of(StrategyHolding),
    ("account_id", "underlying", "symbol", "place", "broker"),
)
STRATEGY_FAMILIES = Table("strategy_families", columns_of(StrategyFamily), ("account_id", "underlying", "broker"))
STRATEGY_CHANGES = Table("strategy_changes", columns_of(StrategyChange), ("change_uid",))
BREAKS = Table("recon_breaks", columns_of(Break), ("break_uid",))
BREAK_CHANGES = Table("recon_changes", columns_of(BreakChange), ("change_uid",))
RECONCILED_DAYS = Table("reconciliation_report", columns_of(ReconciledDay), columns_of(ReconciledDay)[:3])
RECON_RESULTS = Table("recon_results", columns_of(Compared), columns_of(Compared)[:4])
QUARANTINE = Table(
    "quarantine",
    columns_of(QuarantineRow),
    ("quarantine_uid",),
    keep_first=frozenset({"first_seen_at", "load_id"}),
)
FEE_ALLOCATIONS = Table("fee_allocations", columns_of(FeeAllocation), ("fee_uid", "trade_uid"))
CASH_MOVEMENTS = Table("cash_movements", columns_of(CashMovement), ("cash_uid",))
BROKER_POSITIONS = Table(
    "broker_positions",
    columns_of(BrokerPosition),
    ("business_date", "broker", "account_id", "broker_position_id"),
    quiet=frozenset({"as_of"}),
)
BROKER_BALANCES = Table(
    "broker_balances",
    columns_of(BrokerBalance),
    ("business_date", "broker", "account_id", "currency"),
    quiet=frozenset({"as_of"}),
)
DRIFT = Table(
    "payload_drift",
    columns_of(Drift),
    ("broker", "kind", "account_id", "business_date", "field", "value"),
)
LOAD_GAPS = Table(
    "load_gaps",
    columns_of(LoadGap),
    ("broker", "account_id", "data_type", "business_date"),
    keep_first=frozenset({"found_at"}),
)
_STATEMENT_ROWS: Mapping[str, type] = {
    "broker_trade_figures": BrokerTradeFigures,
    "broker_lots": BrokerLot,
    "broker_closed_lots": ClosedLot,
    "broker_figures": BrokerFigures,
    "broker_funds": FundsLine,
    "corporate_actions": CorporateAction,
    "transfers": Transfer,
    "conversion_rates": ConversionRate,
    "dividend_accruals": DividendAccrual,
    "option_events": OptionEvent,
    "query_gaps": QueryGap,
}
STATEMENT_TABLES: Mapping[str, Table] = {
    name: Table(name, columns_of(row), columns_of(row)[:1]) for name, row in _STATEMENT_ROWS.items()
}
"""Tables of `StatementFacts`, by the name of its field; the first column of each is its key."""
_LEDGER_ROWS: Mapping[str, type] = {
    "opening_balances": OpeningBalance,
    "position_movements": PositionMovement,
    "lots": Lot,
    "lot_moves": LotMove,
    "realized_pnl": RealizedPnl,
    "ledger_stops": LedgerStop,
    "position_events": PositionEvent,
    "round_trips": RoundTrip,
    "positions": BookPosition,
    "cash_ledger": CashEntry,
    "settlement_tracking": Settlement,
    "day_trades": DayTrade,
    "wash_sale_flags": WashSaleFlag,
}
_LEDGER_KEYS: Mapping[str, tuple[type, int]] = {
    "account_rules": (AccountRule, 3),
    "lot_selections": (LotSelection, 2),
    "calendar_overrides": (CalendarOverride, 2),
    "market_days": (MarketDay, 2),
    "cash_account_state": (CashState, 3),
    "trade_frequency_tracking": (TradeFrequency, 3),
    "performance_metrics": (Performance, 5),
}
"""Tables whose key is their first columns, and how many."""
LEDGER_TABLES: Mapping[str, Table] = {
    **{name: Table(name, columns_of(row), columns_of(row)[:1]) for name, row in _LEDGER_ROWS.items()},
    **{name: Table(name, columns_of(row), columns_of(row)[:keys]) for name, (row, keys) in _LEDGER_KEYS.items()},
    "positions_daily": Table(
        "positions_daily", columns_of(DailyPosition), ("business_date", "account_id", "instrument_id")
    ),
}
"""Tables of `domain.ledger`, by name."""
CARDS = Table("strategies", columns_of(Strategy), ("strategy_uid",))
CHAINS = Table("strategy_chains", columns_of(StrategyChain), ("chain_uid",))
CHAIN_GAINS = Table("chain_gains", columns_of(ChainGain), ("realized_uid", "chain_uid"))
EXCHANGES = Table("exchange_info", columns_of(ExchangeInfo), ("exchange",))
BARS = Table("ohlcv", columns_of(Bar), ("symbol", "timeframe", "opened_at"))
BAR_GAPS = Table(
    "ohlcv_gaps", columns_of(BarGap), ("symbol", "timeframe", "from_at"), keep_first=frozenset({"found_at"})
)
SIGNALS = Table("trade_signals", columns_of(TradeSignal), ("signal_uid",), keep_first=frozenset({"created_at"}))
POSITION_SNAPSHOTS = Table("position_snapshots", columns_of(PositionSnapshot), ("broker", "account_id", "captured_at"))
ACCOUNT_SNAPSHOTS = Table("account_snapshots", columns_of(AccountSnapshot), ("broker", "account_id", "captured_at"))
RISK_SNAPSHOTS = Table("risk_snapshots", columns_of(RiskSnapshot), ("scope", "captured_at"))
RISK_SIGNALS = Table(
    "risk_signals", columns_of(RiskSignal), ("signal_uid",), generated=frozenset({"signal_uid", "raised_at"})
)
BACKTESTS = Table(
    "backtests", columns_of(Backtest), ("backtest_uid",), generated=frozenset({"backtest_uid", "created_at"})
)
SYSTEM_EVENTS = Table(
    "system_events", columns_of(SystemEvent), ("event_id",), generated=frozenset({"event_id", "occurred_at"})
)
LLM_CALLS = Table("llm_analysis_log", columns_of(LlmCall), ("call_id",), generated=frozenset({"call_id", "called_at"}))
RESEARCH = Table(
    "research_records",
    columns_of(ResearchRecord),
    ("record_id",),
    generated=frozenset({"record_id", "recorded_at"}),
    natural=("fingerprint",),
)
PORTFOLIO_POSITIONS = Table(
    "portfolio_positions", columns_of(PortfolioPosition), ("position_id",), generated=frozenset({"updated_at"})
)
PORTFOLIO_STATE = Table("portfolio_state", columns_of(PortfolioState), ("id",), generated=frozenset({"updated_at"}))
PYRAMIDING = Table(
    "pyramiding_state", columns_of(PyramidingState), ("instrument",), generated=frozenset({"updated_at"})
)
SIGNAL_LOG = Table(
    "signal_log",
    columns_of(LoggedSignal),
    ("signal_id",),
    generated=frozenset({"signal_id", "received_at"}),
    natural=("fingerprint",),
)
INSTANCES = Table("instance_metadata", columns_of(Instance), ("instance_id",))
SYNC_STATE = Table("sync_state", columns_of(SyncState), columns_of(SyncState)[:4])
DIRTY_DAYS = Table("dirty_days", columns_of(DirtyDay), columns_of(DirtyDay))

ROW_CLASSES: dict[str, type] = {
    "orders_norm": Order,
    "trades_norm": Trade,
    "fees_norm": Fee,
    "instruments": Instrument,
    "order_strategy_map": StrategyAssignment,
    "strategy_positions": StrategyHolding,
    "strategy_families": StrategyFamily,
    "strategy_changes": StrategyChange,
    "recon_breaks": Break,
    "recon_changes": BreakChange,
    "recon_results": Compared,
    "reconciliation_report": ReconciledDay,
    "quarantine": QuarantineRow,
    "fee_allocations": FeeAllocation,
    "cash_movements": CashMovement,
    "broker_positions": BrokerPosition,
    "broker_balances": BrokerBalance,
    "payload_drift": Drift,
    "load_gaps": LoadGap,
    "dirty_days": DirtyDay,
    "sync_state": SyncState,
    **_STATEMENT_ROWS,
    **_LEDGER_ROWS,
    **{name: row for name, (row, _) in _LEDGER_KEYS.items()},
    "positions_daily": DailyPosition,
    "strategies": Strategy,
    "strategy_chains": StrategyChain,
    "chain_gains": ChainGain,
    "exchange_info": ExchangeInfo,
    "ohlcv": Bar,
    "ohlcv_gaps": BarGap,
    "trade_signals": TradeSignal,
    "position_snapshots": PositionSnapshot,
    "account_snapshots": AccountSnapshot,
    "risk_snapshots": RiskSnapshot,
    "risk_signals": RiskSignal,
    "backtests": Backtest,
    "system_events": SystemEvent,
    "llm_analysis_log": LlmCall,
    "research_records": ResearchRecord,
    "portfolio_positions": PortfolioPosition,
    "portfolio_state": PortfolioState,
    "pyramiding_state": PyramidingState,
    "signal_log": LoggedSignal,
    "instance_metadata": Instance,
}

_OF_ENGINES = (
    *(EXCHANGES, BARS, BAR_GAPS, SIGNALS, POSITION_SNAPSHOTS, ACCOUNT_SNAPSHOTS, RISK_SNAPSHOTS, RISK_SIGNALS),
    *(BACKTESTS, SYSTEM_EVENTS, LLM_CALLS, RESEARCH, PORTFOLIO_POSITIONS, PORTFOLIO_STATE, PYRAMIDING, SIGNAL_LOG),
    *(INSTANCES, LEDGER_TABLES["positions"], LEDGER_TABLES["round_trips"]),
)
ENGINE_TABLES = frozenset(table.name for table in _OF_ENGINES)
"""Tables that an engine may write; stages alone write the others, whose rows they seal."""


_NAMED: Mapping[str, Table] = {
    **{
        table.name: table
        for table in (
            ORDERS,
            TRADES,
            FEES,
            INSTRUMENTS,
            STRATEGIES,
            STRATEGY_POSITIONS,
            STRATEGY_CHANGES,
            BREAKS,
            FEE_ALLOCATIONS,
            CASH_MOVEMENTS,
            BROKER_POSITIONS,
            BROKER_BALANCES,
        )
    },
    **STATEMENT_TABLES,
    **LEDGER_TABLES,
    **{table.name: table for table in (CARDS, CHAINS, CHAIN_GAINS)},
    **{table.name: table for table in (EXCHANGES, BARS, BAR_GAPS, SIGNALS, POSITION_SNAPSHOTS, ACCOUNT_SNAPSHOTS)},
}


def is_named(name: str) -> bool:
    """Whether a table of derived rows has this name."""
    return name in _NAMED


def key_of(name: str) -> tuple[str, ...]:
    """The key of a table by its name, of raw tables too; KeyError for others."""
    return ("account_id", "record_key") if "_raw_" in name else _NAMED[name].key


def table_named(name: str) -> Table:
    """The table of derived rows that has this name; KeyError for others."""
    return _NAMED[name]


RAW_KINDS: Mapping[Broker, tuple[str, ...]] = {
    Broker.FUTU: ("orders", "trades", "fees", "positions", "balances", "cash"),
    Broker.IB: ("orders", "trades", "fees", "positions", "balances", "cash", "sections", "provisional"),
}
"""The kinds of records that each broker's raw tables keep."""


def raw_table(broker: Broker, kind: str) -> Table:
    """The raw table of a broker's records of one kind, e.g. `orders_raw_futu`."""
    return Table(f"{kind}_raw_{broker.lower()}", columns_of(RawRow), ("account_id", "record_key"))
