"""What a materialization says about itself: rows per day, coverage, pictures of what is there, lineage."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import dagster as dg
from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator

from apex_pipeline.bar_extraction import BarsLoaded
from apex_pipeline.domain.models import Broker
from apex_pipeline.orchestration.catalogue import column_lineage
from apex_pipeline.orchestration.partitions import span
from apex_pipeline.pipeline import Ingested
from apex_pipeline.reports.glances import (
    breaks_glance,
    coverage_glance,
    equity_glance,
    fees_glance,
    gains_glance,
    strategies_glance,
)
from apex_pipeline.store.coverage import rows_by_day
from apex_pipeline.store.db import Database

MISSING_SHOWN = 30


GLANCES: Mapping[str, Callable[[Database], str]] = {
    "orders_raw_futu": partial(coverage_glance, broker=Broker.FUTU),
    "orders_raw_ib": partial(coverage_glance, broker=Broker.IB),
    "fees_norm": fees_glance,
    "realized_pnl": gains_glance,
    "strategies": strategies_glance,
    "performance_metrics": equity_glance,
    "recon_breaks": breaks_glance,
}
"""Pictures and tables that people look for at an asset."""


def describe_load(context: dg.AssetExecutionContext, ingested: Ingested) -> Mapping[str, Any]:
    """Counts of an extraction for its materializations; says in the log what stayed uncovered."""
    for note in ingested.notes:
        context.log.warning(note)
    missing = [day.isoformat() for day in ingested.missing_days]
    if missing:
        context.log.warning(f"{len(missing)} asked days are not covered: {', '.join(missing[:MISSING_SHOWN])}")
    for failure in ingested.failures:
        context.log.error(failure)
    failures = {"failures": list(ingested.failures)} if ingested.failures else {}
    return failures | {
        "calls": ingested.calls,
        "records": ingested.records,
        "new_versions": ingested.new_versions,
        "unchanged": ingested.unchanged,
        "superseded": ingested.superseded,
        "quarantined": ingested.quarantined,
        "uncovered_days": len(missing),
        "predicted_seconds": float(ingested.predicted_seconds),
    }


def describe_bars(context: dg.AssetExecutionContext, loaded: BarsLoaded) -> Mapping[str, Any]:
    """Counts of a load of bars; says in the log what was refused, what waits and who could not be asked."""
    for note in (*loaded.refused[:MISSING_SHOWN], *loaded.notes):
        context.log.warning(note)
    for failure in loaded.failures:
        context.log.error(failure)
    counts = {"asks": loaded.asks, "new_bars": loaded.new, "changed_bars": loaded.changed, "left": loaded.left}
    refused = {"refused": loaded.refused[:MISSING_SHOWN]} if loaded.refused else {}
    return counts | refused | ({"failures": list(loaded.failures)} if loaded.failures else {})


def describe_groups(days: Mapping[date, Sequence[Mapping[str, Any]]]) -> dict[date, Mapping[str, Any]]:
    """Strategies of each day by type and action, as a table for people."""
    return {day: {"groups": dg.MetadataValue.md(_markdown(rows))} for day, rows in days.items()}


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    head = [column.replace("_", " ") for column in rows[0]]
    lines = [head, ["---"] * len(head), *([str(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report_rows(
    context: dg.AssetExecutionContext,
    db: Database,
    tables: Sequence[str],
    about: Mapping[str, Any],
    *,
    days: Mapping[date, Mapping[str, Any]] | None = None,
    newest: Mapping[str, Any] | None = None,
) -> Iterator[dg.MaterializeResult[Any]]:
    """One result per table that the run asks for, with the rows of each day of the run.

    `days`: what else is known of single days. `about`, which is of the whole run, `newest`, pictures and lineage stand
    on the newest day only, which the page of an asset shows first: on every day they would be counted as the day's, and
    fill the event log.
    """
    first, last = span(context.partition_keys)
    for table in (table for table in tables if dg.AssetKey(table) in context.selected_asset_keys):
        counts = rows_by_day(db, table, first, last)
        keys = {key: date.fromisoformat(key) for key in context.partition_keys}
        told = {
            key: {"dagster/partition_row_count": counts.get(day, 0), **(days or {}).get(day, {})}
            for key, day in keys.items()
        }
        shown = {**about, **(newest or {}), **_glance(context, db, table), **column_lineage(table)}
        told[context.partition_keys[-1]] |= shown
        _tell_partitions(context, dg.AssetKey(table), told)
        yield dg.MaterializeResult(asset_key=table)


def _glance(context: dg.AssetExecutionContext, db: Database, table: str) -> Mapping[str, Any]:
    """The picture of a table; one that cannot be drawn is told in the log and fails nothing that it shows."""
    if table not in GLANCES:
        return {}
    try:
        return {"glance": dg.MetadataValue.md(GLANCES[table](db))}
    except Exception:
        context.log.exception(f"what {table} looks like could not be drawn; its rows are stored")
        return {}


def _tell_partitions(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, told: Mapping[str, Mapping[str, Any]]
) -> None:
    """As `context.add_asset_metadata` for each partition, which copies and checks all that was told before every time.

    The names for it are private: Dagster is pinned to a minor version.
    """
    step = context.get_step_execution_context()
    before: OutputMetadataAccumulator = vars(step)["_metadata_accumulator"]
    handles = {AssetMetadataHandle(asset_key=asset, partition_key=key): dict(about) for key, about in told.items()}
    vars(step)["_metadata_accumulator"] = OutputMetadataAccumulator(
        per_output_metadata={**before.per_output_metadata, **handles}
    )
