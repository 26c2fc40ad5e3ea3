"""Figures and short tables as one text of Markdown each, for places that show no page, such as Dagster's metadata.

Each is a few tens of kilobytes at most, and its pictures are in it.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, timedelta
from typing import Any

from apex_pipeline.domain.models import Broker
from apex_pipeline.reports.figures import (
    Figure,
    coverage_figures,
    equity_figures,
    equity_rows,
    fee_figures,
    gains_by_month,
    gains_by_name,
    missing_days,
    named_strategies,
    step_of,
)
from apex_pipeline.reports.reading import EVER, open_breaks
from apex_pipeline.reports.reconciliation import AGREES
from apex_pipeline.reports.rendering import picture_in_markdown
from apex_pipeline.reports.strategies import markdown
from apex_pipeline.reports.tables import Reader, ReportTable
from apex_pipeline.store.db import Database

ROWS = 20
"""Rows of a table unless told otherwise."""

COLOURS = "Green days are loaded in full, blue ones in part, red ones not at all; on grey ones nobody trades."
NARROW = ("severity", "age_in_business_days", "check", "subject", "what_to_do")
"""Columns of an open break that fit Dagster's page."""
DAYS = 54 * 7
"""Of a calendar: a year, whatever the day of the week."""

NOTHING_YET = "Nothing to draw yet."


def equity_glance(db: Database, reader: Reader = UTC) -> str:
    """What every account was worth and how far it fell, with the newest known values."""
    step = step_of((db.fetchrow("report_scope") or {})["valued_days"])
    worth = ReportTable(
        "worth", "Newest known value of each account", db.fetch("report_worth"), "no value is known yet"
    )
    return _glance(equity_figures(equity_rows(db, step), step), [worth], reader)


def gains_glance(db: Database, reader: Reader = UTC, most: int = ROWS) -> str:
    """What was realized by month and by underlying."""
    by_underlying = db.fetch("report_gains_by_underlying")
    figures = [*gains_by_month(db.fetch("report_gains_by_month")), *gains_by_name(by_underlying, "underlying")]
    table = ReportTable("gains", "Realized P&L by underlying", by_underlying[:most], "none yet")
    return _glance(figures, [table], reader)


def strategies_glance(db: Database, reader: Reader = UTC, most: int = ROWS) -> str:
    """What was realized by strategy."""
    rows = named_strategies(db.fetch("report_gains_by_strategy"))
    table = ReportTable("gains", "Realized P&L by strategy", rows[:most], "none yet")
    return _glance(gains_by_name(rows, "strategy"), [table], reader)


def fees_glance(db: Database, reader: Reader = UTC, most: int = ROWS) -> str:
    """Fees by month and type; the table has the newest months."""
    rows = db.fetch("report_fees")
    newest = sorted(rows, key=lambda row: row["month"], reverse=True)[:most]
    return _glance(fee_figures(rows), [ReportTable("fees", "Newest fees", newest, "none yet")], reader)


def coverage_glance(db: Database, broker: Broker, reader: Reader = UTC, most: int = ROWS) -> str:
    """Which days of the newest year a broker's accounts are loaded for, and the commands that load the others."""
    rows = [_newest(row) for row in db.fetch("report_calendar") if row["broker"] == broker]
    missing = ReportTable("missing", "Days not loaded in full", missing_days(rows)[:most], "none")
    return f"{_glance(coverage_figures(rows), [missing], reader)}\n\n{COLOURS}"


def breaks_glance(db: Database, reader: Reader = UTC, most: int = ROWS) -> str:
    """Open breaks by age, and those that matter most with the commands that tell more."""
    ages = ReportTable("break_ages", "Open breaks by age in business days", db.fetch("report_break_ages"), AGREES)
    rows = open_breaks(db.fetch("report_recon_open", **EVER)[:most]).rows
    worst = ReportTable("open_breaks", "Open breaks", [{name: row[name] for name in NARROW} for row in rows], AGREES)
    return markdown([ages.at(reader), worst.at(reader)])


def _newest(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the calendar of coverage, cut to its newest year."""
    states = row["states"][-DAYS:]
    return {**row, "first_day": row["first_day"] + timedelta(len(row["states"]) - len(states)), "states": states}


def _glance(figures: Iterable[Figure], tables: Iterable[ReportTable], reader: Reader) -> str:
    pictures = "\n\n".join(map(picture_in_markdown, figures))
    return f"{pictures or NOTHING_YET}\n\n{markdown(table.at(reader) for table in tables)}"
