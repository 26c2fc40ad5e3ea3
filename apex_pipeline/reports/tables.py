"""The tables of the report, read once and rendered by whoever shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.instruments import plain
from apex_pipeline.settings import DisplaySettings
from apex_pipeline.store.db import Database

Reader = DisplaySettings | tzinfo
"""Who reads: with forms of dates and times, or with a clock only."""

USUAL = DisplaySettings()
"""The usual forms; the clock of an instant is its own."""


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A titled table; `note` says what an empty one means, `forms` how dates and times are written for people."""

    name: str
    title: str
    rows: Sequence[Mapping[str, Any]]
    note: str = "nothing"
    forms: DisplaySettings = USUAL

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.rows[0]) if self.rows else ()

    def at(self, reader: Reader) -> "ReportTable":
        """The same table for a reader: instants on its clock, and in its forms if it has some."""
        zone, forms = (reader.timezone, reader) if isinstance(reader, DisplaySettings) else (reader, self.forms)
        rows = [{name: _at(value, zone) for name, value in row.items()} for row in self.rows]
        return replace(self, rows=rows, forms=forms)

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        """The values of a row as its reader sees them."""
        return [cell(value, self.forms) for value in row.values()]


def first_rows(
    name: str, title: str, rows: Sequence[Mapping[str, Any]], most: int, note: str = "nothing"
) -> ReportTable:
    """A table of the first `most` rows; its title says so where there may be more, for nobody read further."""
    return ReportTable(name, title if len(rows) < most else f"{title} (the first {most})", rows[:most], note)


def _at(value: Any, zone: tzinfo) -> Any:
    return value.astimezone(zone) if isinstance(value, datetime) else value


def report_tables(db: Database, reader: Reader = UTC) -> list[ReportTable]:
    """Everything the report shows, in reading order, with instants as this reader sees them."""
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
    return [table.at(reader) for table in tables]


def cell(value: Any, forms: DisplaySettings = USUAL) -> str:
    """A value as people read it, with dates and times in these forms."""
    match value:
        case None:
            return ""
        case Decimal():
            return plain(value)
        case datetime():
            return value.strftime(forms.datetime_format).strip()
        case date():
            return value.strftime(forms.date_format)
        case time():
            return value.strftime(forms.time_format)
        case _:
            return str(value)
