"""What a materialization says about itself: rows per day and in all, coverage, schema."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import date
from typing import Any, get_args

import dagster as dg
from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator

from apex_pipeline.bar_extraction import BarsLoaded
from apex_pipeline.orchestration.partitions import span
from apex_pipeline.pipeline import Ingested
from apex_pipeline.store.coverage import rows_by_day
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import ROW_CLASSES, RawRow

MISSING_SHOWN = 30


def column_schema(table: str) -> dict[str, Any]:
    """The columns of a table as Dagster shows them."""
    row = ROW_CLASSES.get(table, RawRow)
    columns = [
        dg.TableColumn(
            field.name,
            _type_name(field.type),
            constraints=dg.TableColumnConstraints(nullable=type(None) in get_args(field.type)),
        )
        for field in fields(row)
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns), "dagster/table_name": f"public.{table}"}


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
    about_days: Mapping[date, Mapping[str, Any]] | None = None,
) -> Iterator[dg.MaterializeResult[Any]]:
    """One result per table that the run asks for, with the rows of each day of the run and what else is known of it."""
    first, last = span(context.partition_keys)
    for table in (table for table in tables if dg.AssetKey(table) in context.selected_asset_keys):
        counts = rows_by_day(db, table, first, last)
        days = {key: date.fromisoformat(key) for key in context.partition_keys}
        told = {
            key: {"dagster/partition_row_count": counts.get(day, 0), **about, **(about_days or {}).get(day, {})}
            for key, day in days.items()
        }
        _tell_partitions(context, dg.AssetKey(table), told)
        yield dg.MaterializeResult(asset_key=table)


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


def _type_name(annotation: Any) -> str:
    """`Decimal | None` rather than `decimal.Decimal | None`."""
    return getattr(annotation, "__name__", None) or re.sub(r"\w+\.", "", str(annotation))
