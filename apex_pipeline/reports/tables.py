"""The tables of the report, read once and rendered by whoever shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.instruments import plain
from apex_pipeline.store.db import Database


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A titled table; `note` says what an empty one means."""

    name: str
    title: str
    rows: Sequence[Mapping[str, Any]]
    note: str = "nothing"

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.rows[0]) if self.rows else ()

    def at(self, zone: tzinfo) -> "ReportTable":
        """The same table with its instants on the clocks of `zone`."""
        rows = [{name: _at(value, zone) for name, value in row.items()} for row in self.rows]
        return replace(self, rows=rows)


def _at(value: Any, zone: tzinfo) -> Any:
    return value.astimezone(zone) if isinstance(value, datetime) else value


def report_tables(db: Database, zone: tzinfo) -> list[ReportTable]:
    """Everything the report shows, in reading order, with instants as people in `zone` read them."""
    tables = [
        ReportTable("totals", "Rows", db.fetch("report_totals"), "nothing is loaded yet: run `apex backfill`"),
        ReportTable("sums", "Sums per currency", db.fetch("report_sums")),
        ReportTable("breaks", "Open breaks", db.fetch("report_breaks"), "none: every check agrees"),
        ReportTable("quarantine", "Quarantine", db.fetch("report_quarantine"), "empty: every record was read"),
        ReportTable("realized", "Realized P&L", db.fetch("report_realized"), "no position was closed yet"),
        ReportTable("positions", "Open positions", db.fetch("report_positions"), "none"),
        ReportTable("cash", "Cash", db.fetch("report_cash")),
        ReportTable("performance", "Performance by month", db.fetch("report_performance")),
        ReportTable("strategies", "Strategies", db.fetch("report_strategies")),
        ReportTable("coverage", "Coverage", db.fetch("report_coverage")),
        ReportTable("fees_by_month", "Fees by month and type", db.fetch("report_fees")),
    ]
    return [table.at(zone) for table in tables]


def cell(value: Any) -> str:
    """A value as people read it."""
    match value:
        case None:
            return ""
        case Decimal():
            return plain(value)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S %Z}"
        case _:
            return str(value)
