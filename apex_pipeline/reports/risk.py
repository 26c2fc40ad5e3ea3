"""What a person reads of risk: the limits that are passed now."""

from datetime import UTC
from typing import Any

from apex_pipeline.domain.results import RiskSignal
from apex_pipeline.reports.tables import Reader, ReportTable, first_rows
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.risk import standing_signals

ROWS = 20
"""Rows of a table unless told otherwise."""


def risk_tables(db: Database, reader: Reader = UTC, most: int = ROWS) -> list[ReportTable]:
    """The signals that stand, of limits and of engines, breaches first, at most `most`."""
    rows = [_row(signal) for signal in standing_signals(db, most)]
    return [first_rows("risk_signals", "Limits of risk that are passed", rows, most, "none").at(reader)]


def _row(signal: RiskSignal) -> dict[str, Any]:
    return {
        "level": str(signal.level),
        "scope": signal.scope,
        "metric": signal.metric,
        "value": signal.value,
        "threshold": signal.threshold,
        "raised_at": signal.raised_at,
        "source": signal.source,
    }
