"""Assets, named as their tables. Each opens the database, calls one stage and reports counts."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from apex_pipeline import settings
from apex_pipeline.brokers.contract import Acquire, BrokerPort
from apex_pipeline.brokers.registry import normalizing_ports
from apex_pipeline.domain.records import ALL_MARKETS, Ask
from apex_pipeline.orchestration.failures import as_dagster_failure, is_interactive
from apex_pipeline.orchestration.metadata import column_schema, describe_load, report_rows
from apex_pipeline.orchestration.partitions import daily, single_run, span
from apex_pipeline.orchestration.resources import ZONE, Futu, IbFlex, Progress, Storage
from apex_pipeline.pipeline import classify_strategies, ingest, normalize, reconcile_days
from apex_pipeline.store.db import Database

RAW_TABLES = {
    "futu": ("orders_raw_futu", "trades_raw_futu", "fees_raw_futu"),
    "ib": ("orders_raw_ib", "trades_raw_ib", "fees_raw_ib"),
}
NORMALIZED_TABLES = ("orders_norm", "trades_norm", "fees_norm", "instruments")

DESCRIPTIONS = {
    "orders_raw_futu": "Orders as OpenD sent them, current version; earlier versions in raw_versions.",
    "trades_raw_futu": "Deals as OpenD sent them, current version; earlier versions in raw_versions.",
    "fees_raw_futu": "Fees per order as OpenD sent them; a record without an amount is still pending.",
    "orders_raw_ib": "ORDER rows of Flex statements, kept as check data: they only enrich orders.",
    "trades_raw_ib": "EXECUTION rows of Flex statements: trades, book entries and cancels.",
    "fees_raw_ib": "Commission and taxes of each execution, as in the statement.",
    "orders_norm": "Orders of both brokers in one shape.",
    "trades_norm": "Executions and book entries of both brokers in one shape.",
    "fees_norm": "Every charge; the parts of an order sum to the broker's total.",
    "instruments": "Contracts under one canonical symbol with each broker's own code.",
    "order_strategy_map": "Which trade idea every filled order belonged to, with a confidence.",
    "recon_breaks": "Disagreements found by the checks, one row each, with their history.",
}


class LoadConfig(dg.Config):
    """What to load beyond the partitions of the run."""

    account: str | None = None
    market: str = ALL_MARKETS
    force: bool = False


def _spec(table: str, group: str, deps: Sequence[str] = (), kinds: Sequence[str] = ("postgres",)) -> dg.AssetSpec:
    return dg.AssetSpec(
        table,
        deps=list(deps),
        description=DESCRIPTIONS[table],
        group_name=group,
        kinds=set(kinds),
        owners=["team:apex"],
        metadata=column_schema(table),
    )


def _extract(
    context: dg.AssetExecutionContext,
    db: Database,
    load: tuple[BrokerPort, Acquire],
    config: LoadConfig,
    progress: Progress,
) -> Mapping[str, Any]:
    broker, acquire = load
    first, last = span(context.partition_keys)
    ask = Ask(first, last, datetime.now(ZONE).date(), config.account, config.market, config.force)
    with as_dagster_failure(context):
        return describe_load(context, ingest(db, broker, acquire, ask, progress.observe))


@dg.multi_asset(
    specs=[_spec(table, "raw", kinds=("postgres", "futu")) for table in RAW_TABLES["futu"]],
    partitions_def=daily,
    backfill_policy=single_run,
    pool="futu",
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
        about = _extract(context, db, (futu.port(), futu.limit(db)), config, progress) if _enabled("futu") else {}
        yield from report_rows(context, db, RAW_TABLES["futu"], about)


@dg.multi_asset(
    specs=[_spec(table, "raw", kinds=("postgres", "xml")) for table in RAW_TABLES["ib"]],
    partitions_def=daily,
    backfill_policy=single_run,
    pool="ib",
    can_subset=True,
)
def ib_flex_statements(
    context: dg.AssetExecutionContext,
    config: LoadConfig,
    storage: Storage,
    ib_flex: IbFlex,
    progress: dg.ResourceParam[Progress],
) -> Iterator[dg.MaterializeResult[Any]]:
    """Executions, orders and commissions from Flex statements."""
    with storage.open() as db:
        load = ib_flex.port(patient=not is_interactive(context)), ib_flex.limit(db)
        about = _extract(context, db, load, config, progress) if _enabled("ib") else {}
        yield from report_rows(context, db, RAW_TABLES["ib"], about)


@dg.multi_asset(
    specs=[_spec(table, "normalized", [*RAW_TABLES["futu"], *RAW_TABLES["ib"]]) for table in NORMALIZED_TABLES],
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
        rejected = sum(normalize(db, port, first, last, progress.observe)[1] for port in normalizing_ports())
        yield from report_rows(context, db, NORMALIZED_TABLES, {"quarantined": rejected})


@dg.multi_asset(
    specs=[_spec("order_strategy_map", "strategy", ["orders_norm", "trades_norm", "instruments"])],
    partitions_def=daily,
    backfill_policy=single_run,
)
def strategies(
    context: dg.AssetExecutionContext, storage: Storage, progress: dg.ResourceParam[Progress]
) -> Iterator[dg.MaterializeResult[Any]]:
    """Trade ideas: broker-declared combinations first, then what was sent together and fits a shape."""
    first, last = span(context.partition_keys)
    with storage.open() as db:
        changed = classify_strategies(db, first, last, progress.observe)
        yield from report_rows(context, db, ["order_strategy_map"], {"rows_changed": changed.changed})


@dg.multi_asset(
    specs=[_spec("recon_breaks", "reconciliation", [*NORMALIZED_TABLES[:3], "order_strategy_map"])],
    partitions_def=daily,
    backfill_policy=single_run,
)
def reconciliation(
    context: dg.AssetExecutionContext, storage: Storage, progress: dg.ResourceParam[Progress]
) -> Iterator[dg.MaterializeResult[Any]]:
    """What does not agree, as rows."""
    first, last = span(context.partition_keys)
    with storage.open() as db:
        reconciled = reconcile_days(db, first, last, progress.observe)
        yield from report_rows(context, db, ["recon_breaks"], {"breaks_changed": reconciled.breaks.changed})


def _enabled(broker: str) -> bool:
    return broker in settings.load().brokers


ASSETS = (futu_history, ib_flex_statements, normalized, strategies, reconciliation)
