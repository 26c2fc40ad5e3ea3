"""Assets, named as their tables. Each opens the database, calls one stage and reports counts."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from apex_pipeline.domain.records import ALL_MARKETS, Ask, LoadScope
from apex_pipeline.live.history import HistoryLoaderService, normalize_all, today
from apex_pipeline.orchestration.bars import BarsConfig
from apex_pipeline.orchestration.catalogue import asset_spec
from apex_pipeline.orchestration.executors import queued
from apex_pipeline.orchestration.failures import as_dagster_failure, is_interactive
from apex_pipeline.orchestration.metadata import (
    describe_bars,
    describe_groups,
    describe_load,
    report_rows,
)
from apex_pipeline.orchestration.partitions import daily, single_run, span
from apex_pipeline.orchestration.resources import Futu, IbFlex, Market, Progress, Storage, Watch
from apex_pipeline.orchestration.steps import RAW_TABLES, STEPS
from apex_pipeline.pipeline import (
    classify_strategies,
    match_lots,
    reconcile_days,
    tell_strategies,
    value_accounts,
    watch_risk,
)
from apex_pipeline.reports.reconciliation import reconciliation_tables
from apex_pipeline.reports.risk import risk_tables
from apex_pipeline.reports.strategies import markdown, strategy_tables
from apex_pipeline.store.repositories.strategies import StrategyRepository
from apex_pipeline.store.tables import STATEMENT_TABLES

NORMALIZED_TABLES = (
    "orders_norm",
    "trades_norm",
    "fees_norm",
    "instruments",
    "fee_allocations",
    "cash_movements",
    "broker_positions",
    "broker_balances",
    "payload_drift",
    *STATEMENT_TABLES,
)

LEDGER_INPUTS = (
    "trades_norm",
    "fees_norm",
    "fee_allocations",
    "corporate_actions",
    "transfers",
    "broker_lots",
    "broker_closed_lots",
)
MATCHED_TABLES = ("lots", "realized_pnl", "ledger_stops", "positions_daily", "position_events", "round_trips")
STRATEGY_INPUTS = (
    "orders_norm",
    "trades_norm",
    "instruments",
    "broker_positions",
    "broker_lots",
    "broker_closed_lots",
    "corporate_actions",
    "transfers",
)
STRATEGY_TABLES = ("order_strategy_map", "strategy_positions")
VALUED_TABLES = (
    "settlement_tracking",
    "cash_ledger",
    "cash_account_state",
    "day_trades",
    "trade_frequency_tracking",
    "wash_sale_flags",
    "performance_metrics",
)

TOLD_TABLES = ("strategies", "strategy_chains")
RISK_TABLES = ("risk_signals",)
RECONCILIATION_TABLES = ("recon_breaks", "reconciliation_report")

WRITTEN_ELSEWHERE = {
    "trade_signals": "market",
    "position_snapshots": "snapshots",
    "account_snapshots": "snapshots",
}
"""Tables that an engine or `snapshot_job` writes, by group."""

RECONCILED_TABLES = (
    *NORMALIZED_TABLES[:3],
    "order_strategy_map",
    *MATCHED_TABLES,
    *VALUED_TABLES,
    *TOLD_TABLES,
    "ohlcv",
    *WRITTEN_ELSEWHERE,
)


class LoadConfig(dg.Config):
    """What to load beyond the partitions of the run."""

    account: str | None = None
    market: str = ALL_MARKETS
    force: bool = False
    intraday: bool = False

    def ask(self, first: date, last: date, scope: LoadScope = LoadScope.HISTORY) -> Ask:
        """The configured load of these days; `intraday` turns a history into the state of today."""
        wanted = LoadScope.INTRADAY if self.intraday and scope is LoadScope.HISTORY else scope
        return Ask(first, last, today(), self.account, self.market, self.force, wanted)


def _extract(
    context: dg.AssetExecutionContext, loader: HistoryLoaderService, broker: str, ask: Ask, progress: Progress
) -> Mapping[str, Any]:
    if broker not in loader.config.brokers:
        return {}
    with as_dagster_failure(context):
        patient = not is_interactive(context)
        return describe_load(context, loader.extract(broker, ask, progress.observe, patient=patient))


@dg.multi_asset(
    specs=[asset_spec(table, "raw", kinds=("postgres", "futu")) for table in STEPS["futu"]["futu_history"]],
    partitions_def=daily,
    backfill_policy=single_run,
    pool="futu",
    op_tags=queued("futu"),
    can_subset=True,
)
def futu_history(
    context: dg.AssetExecutionContext,
    config: LoadConfig,
    storage: Storage,
    futu: Futu,
    progress: dg.ResourceParam[Progress],
) -> Iterator[dg.MaterializeResult[Any]]:
    """Orders, deals and fees from OpenD, whole windows at a time, each stored as it arrives."""
    with storage.open() as db:
        about = _extract(context, futu.loader(db), "futu", config.ask(*span(context.partition_keys)), progress)
        yield from report_rows(context, db, STEPS["futu"]["futu_history"], about)


@dg.multi_asset(
    specs=[asset_spec("cash_raw_futu", "raw", ["fees_raw_futu"], kinds=("postgres", "futu"))],
    partitions_def=daily,
    backfill_policy=single_run,
    pool="futu",
    op_tags=queued("futu"),
)
def futu_cash_flow(
    context: dg.AssetExecutionContext,
    config: LoadConfig,
    storage: Storage,
    futu: Futu,
    progress: dg.ResourceParam[Progress],
) -> Iterator[dg.MaterializeResult[Any]]:
    """Cash flow from OpenD: one call for each weekday and account, made once and after everything else is stored."""
    with storage.open() as db:
        ask = config.ask(*span(context.partition_keys), LoadScope.CASH)
        about = _extract(context, futu.loader(db), "futu", ask, progress)
        yield from report_rows(context, db, ["cash_raw_futu"], about)


@dg.multi_asset(
    specs=[asset_spec(table, "raw", kinds=("postgres", "xml")) for table in RAW_TABLES["ib"]],
    partitions_def=daily,
    backfill_policy=single_run,
    pool="ib",
    op_tags=queued("ib"),
    can_subset=True,
)
def ib_history(
    context: dg.AssetExecutionContext,
    config: LoadConfig,
    storage: Storage,
    ib_flex: IbFlex,
    progress: dg.ResourceParam[Progress],
) -> Iterator[dg.MaterializeResult[Any]]:
    """Flex statements whole, and today's executions, positions and balances where the TWS API is configured."""
    with storage.open() as db:
        about = _extract(context, ib_flex.loader(db), "ib", config.ask(*span(context.partition_keys)), progress)
        yield from report_rows(context, db, RAW_TABLES["ib"], about)


@dg.multi_asset(
    specs=[asset_spec(table, "normalized", [*RAW_TABLES["futu"], *RAW_TABLES["ib"]]) for table in NORMALIZED_TABLES],
    partitions_def=daily,
    backfill_policy=single_run,
    can_subset=True,
)
def normalized(
    context: dg.AssetExecutionContext, storage: Storage, progress: dg.ResourceParam[Progress]
) -> Iterator[dg.MaterializeResult[Any]]:
    """Raw records of both brokers in one shape."""
    first, last = span(context.partition_keys)
    with storage.open() as db:
        rejected = normalize_all(db, first, last, progress.observe)
        yield from report_rows(context, db, NORMALIZED_TABLES, {"quarantined": rejected})


@dg.multi_asset(
    specs=[asset_spec(table, "strategy", STRATEGY_INPUTS) for table in STRATEGY_TABLES],
    partitions_def=daily,
    backfill_policy=single_run,
    can_subset=True,
)
def strategies(
    context: dg.AssetExecutionContext, storage: Storage, progress: dg.ResourceParam[Progress]
) -> Iterator[dg.MaterializeResult[Any]]:
    """Trade ideas: broker-declared combinations first, then what was sent together and fits a shape."""
    first, last = span(context.partition_keys)
    with storage.open() as db:
        changed = classify_strategies(db, first, last, progress.observe)
        groups = describe_groups(StrategyRepository(db).by_type(first, last))
        yield from report_rows(context, db, STRATEGY_TABLES, {"rows_changed": changed.changed}, days=groups)


@dg.multi_asset(
    specs=[asset_spec(table, "ledger", [*LEDGER_INPUTS, "order_strategy_map"]) for table in MATCHED_TABLES],
    partitions_def=daily,
    backfill_policy=single_run,
    can_subset=True,
)
def matched(
    context: dg.AssetExecutionContext, storage: Storage, progress: dg.ResourceParam[Progress]
) -> Iterator[dg.MaterializeResult[Any]]:
    """Lots, realized P&L and positions, from the first changed day of each instrument on."""
    first, last = span(context.partition_keys)
    with storage.open() as db:
        changed = match_lots(db, first, last, progress.observe)
        yield from report_rows(context, db, MATCHED_TABLES, {"rows_changed": sum(m.changed for m in changed.values())})


@dg.multi_asset(
    specs=[asset_spec(table, "ledger", ["cash_movements", "fees_norm", *MATCHED_TABLES]) for table in VALUED_TABLES],
    partitions_def=daily,
    backfill_policy=single_run,
    can_subset=True,
)
def valued(
    context: dg.AssetExecutionContext, storage: Storage, progress: dg.ResourceParam[Progress]
) -> Iterator[dg.MaterializeResult[Any]]:
    """Settlement, cash, rules and performance, from the first changed day of each account on."""
    first, last = span(context.partition_keys)
    with storage.open() as db:
        changed = value_accounts(db, first, last, progress.observe)
        yield from report_rows(context, db, VALUED_TABLES, {"rows_changed": sum(m.changed for m in changed.values())})


@dg.multi_asset(
    specs=[asset_spec(table, "strategy", ["order_strategy_map", "fees_norm", "realized_pnl"]) for table in TOLD_TABLES],
    partitions_def=daily,
    backfill_policy=single_run,
    can_subset=True,
)
def told_strategies(
    context: dg.AssetExecutionContext, storage: Storage, progress: dg.ResourceParam[Progress]
) -> Iterator[dg.MaterializeResult[Any]]:
    """Strategies and chains as people read them, for the underlyings of which something changed."""
    with storage.open() as db:
        changed = tell_strategies(db, progress.observe)
        tables = {"report": dg.MetadataValue.md(markdown(strategy_tables(db)))}
        about = {"rows_changed": sum(merged.changed for merged in changed.values())}
        yield from report_rows(context, db, TOLD_TABLES, about, newest=tables)


@dg.multi_asset(
    specs=[asset_spec(table, "snapshots", ["positions_daily", "performance_metrics"]) for table in RISK_TABLES],
    partitions_def=daily,
    backfill_policy=single_run,
)
def watched_risk(
    context: dg.AssetExecutionContext, storage: Storage, watch: Watch
) -> Iterator[dg.MaterializeResult[Any]]:
    """How exposed accounts are by the newest that is known, and which limits of the settings that passes."""
    with storage.open() as db:
        watched = watch_risk(db, watch.limits(), datetime.now(UTC))
        tables = {"report": dg.MetadataValue.md(markdown(risk_tables(db)))}
        about = {"rows_changed": sum(m.changed for m in watched.rows.values()), "standing": len(watched.standing)}
        yield from report_rows(context, db, RISK_TABLES, about, newest=tables)


@dg.multi_asset(
    specs=[asset_spec(table, "reconciliation", RECONCILED_TABLES) for table in RECONCILIATION_TABLES],
    partitions_def=daily,
    backfill_policy=single_run,
    can_subset=True,
)
def reconciliation(
    context: dg.AssetExecutionContext, storage: Storage, progress: dg.ResourceParam[Progress]
) -> Iterator[dg.MaterializeResult[Any]]:
    """What does not agree, as rows, and the report of it."""
    first, last = span(context.partition_keys)
    with storage.open() as db:
        reconciled = reconcile_days(db, first, last, progress.observe, made_by=context.run.run_id)
        tables = {"report": dg.MetadataValue.md(markdown(reconciliation_tables(db, first, last)))}
        about = {"breaks_changed": reconciled.breaks.changed}
        yield from report_rows(context, db, RECONCILIATION_TABLES, about, newest=tables)


@dg.multi_asset(
    specs=[asset_spec("ohlcv", "market", ["trades_norm", "instruments", "positions_daily"])],
    partitions_def=daily,
    backfill_policy=single_run,
    op_tags=queued("futu", "ib"),
)
def bars(
    context: dg.AssetExecutionContext,
    config: BarsConfig,
    storage: Storage,
    market: Market,
    progress: dg.ResourceParam[Progress],
) -> Iterator[dg.MaterializeResult[Any]]:
    """Bars that are wanted and not known yet. A broker that cannot be asked is told of and fails nothing else."""
    with storage.open() as db, as_dagster_failure(context):
        wish = config.wish(*span(context.partition_keys))
        about = describe_bars(context, market.load(db, wish, config.most_seconds, progress.observe))
        yield from report_rows(context, db, ["ohlcv"], about)


@dg.multi_asset(
    specs=[asset_spec(table, group) for table, group in WRITTEN_ELSEWHERE.items()],
    partitions_def=daily,
    backfill_policy=single_run,
    can_subset=True,
)
def written_elsewhere(context: dg.AssetExecutionContext, storage: Storage) -> Iterator[dg.MaterializeResult[Any]]:
    """What was captured and signalled on these days, counted so that its checks have days to show."""
    with storage.open() as db:
        yield from report_rows(context, db, tuple(WRITTEN_ELSEWHERE), {})


EXTRACTIONS = (futu_history, futu_cash_flow, ib_history)
MARKET = (bars,)
DERIVED = (normalized, strategies, matched, valued, told_strategies, watched_risk, written_elsewhere, reconciliation)
ASSETS = (*EXTRACTIONS, *MARKET, *DERIVED)
