"""What the report is made of, read at one moment: rows by statement, and breaks and facts in the words of people."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date
from importlib.resources import files
from typing import Any

from apex_pipeline.domain.checks import CHECKS, CheckName
from apex_pipeline.reports.anonymous import OWN, Names
from apex_pipeline.reports.figures import Rows, equity_rows, missing_days, named_strategies, step_of
from apex_pipeline.reports.reconciliation import AGREES
from apex_pipeline.reports.risk import risk_tables
from apex_pipeline.reports.strategies import strategy_tables
from apex_pipeline.reports.tables import Reader, ReportTable, report_tables
from apex_pipeline.store.db import Database

EVER: Mapping[str, Any] = {"from_date": date(1990, 1, 1), "to_date": date.max}
MOST_STRATEGIES = 200
"""Strategies, and chains of them, on the page."""
MOST = 1_000_000
"""Rows of an exported table."""
BREAK_COLUMNS = (
    "severity", "state", "age_in_business_days", "check", "subject", "expected", "actual", "delta", "currency",
    "what_to_do",
)  # fmt: skip
"""Of a break, in this order; what else is known of it follows."""


@dataclass(frozen=True, slots=True)
class Read:
    """Everything that was read, by the names of its statements."""

    scope: Mapping[str, Any]
    tables: Mapping[str, ReportTable]
    rows: Mapping[str, Rows]
    step: str


def read_all(db: Database, reader: Reader = UTC, names: Names = OWN) -> Read:
    """All of it as of one moment, with `names` in place of account numbers."""
    with db.transaction() as tx:
        tx.execute("read_at_one_moment")
        return _read(db, reader, names)


def _read(db: Database, reader: Reader, names: Names) -> Read:
    strategies = strategy_tables(db, reader, MOST_STRATEGIES)
    found = [*report_tables(db, reader), *risk_tables(db, reader, MOST), *strategies]
    tables = {table.name: names.table(table) for table in found}
    scope = db.fetchrow("report_scope") or {}
    step = step_of(scope["valued_days"])
    rows = {
        "equity": equity_rows(db, step),
        "calendar": db.fetch("report_calendar"),
        "ages": db.fetch("report_break_ages"),
        "open": db.fetch("report_recon_open", **EVER),
        "settled": db.fetch("report_recon_settled", **EVER),
        "chains": db.fetch("report_chains", most=MOST_STRATEGIES),
        "timelines": db.fetch("chains_timelines", most=MOST_STRATEGIES),
        "unknown": _unknown(db, tables["positions"].rows),
        **_gain_rows(db),
    }
    return Read(scope, tables, {name: names.rows(some) for name, some in rows.items()}, step)


def _gain_rows(db: Database) -> dict[str, list[dict[str, Any]]]:
    return {
        "worth": db.fetch("report_worth"),
        "by_month": db.fetch("report_gains_by_month"),
        "by_underlying": db.fetch("report_gains_by_underlying"),
        "by_strategy": named_strategies(db.fetch("report_gains_by_strategy")),
    }


def export_tables(db: Database, reader: Reader = UTC, names: Names = OWN) -> list[ReportTable]:
    """Everything as plain tables with all their rows, every day and no drawing, for other programs."""
    with db.transaction() as tx:
        tx.execute("read_at_one_moment")
        found = [*report_tables(db, reader), *risk_tables(db, reader, MOST), *strategy_tables(db, reader, MOST)]
        rows = _gain_rows(db)
        more = {
            "equity": equity_rows(db),
            "worth": rows["worth"],
            "gains_by_month": rows["by_month"],
            "gains_by_strategy": rows["by_strategy"],
            "gains_by_underlying": rows["by_underlying"],
            "open_breaks": [break_row(row) for row in db.fetch("report_recon_open", **EVER)],
            "settled_breaks": [break_row(row) for row in db.fetch("report_recon_settled", **EVER)],
            "break_ages": db.fetch("report_break_ages"),
            "chains": db.fetch("report_chains", most=MOST),
            "missing_days": missing_days(db.fetch("report_calendar")),
            "unknown": facts(_unknown(db, next(one.rows for one in found if one.name == "positions"))),
        }
    tables = [*found, *(ReportTable(name, name.replace("_", " ").capitalize(), some) for name, some in more.items())]
    return [names.table(table).at(reader) for table in tables]


def _unknown(db: Database, positions: Rows) -> list[dict[str, Any]]:
    return [*_unpriced(positions), *db.fetch("report_unknown")]


def _unpriced(positions: Rows) -> list[dict[str, Any]]:
    """The fact that open positions have no price, if some have none."""
    days = [row["business_date"] for row in positions if row["mark_price"] is None]
    return [{"what": "no_mark", "rows": len(days), "first_day": min(days), "last_day": max(days)}] if days else []


def open_breaks(rows: Rows) -> ReportTable:
    """Breaks as people read them, each with the commands that tell more."""
    return ReportTable("open_breaks", "Open breaks", [break_row(row) for row in rows], AGREES)


def break_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is wrong first, then what to do, then where."""
    about = CHECKS[CheckName(row["check_name"])]
    told = {
        **{name: value for name, value in row.items() if name not in ("check_name", "age_bd", "break_uid")},
        "check": f"{about.check_id} {row['check_name'].replace('_', ' ')}",
        "what_to_do": "apex breaks --explain {0}; apex why {0}".format(row["break_uid"]),
    }
    if "age_bd" in row:
        told["age_in_business_days"] = row["age_bd"]
    return {name: told[name] for name in sorted(told, key=_place)}


def _place(column: str) -> int:
    return BREAK_COLUMNS.index(column) if column in BREAK_COLUMNS else len(BREAK_COLUMNS)


def facts(rows: Rows) -> list[dict[str, Any]]:
    """What is not known, in words."""
    words = tomllib.loads(files("apex_pipeline.reports").joinpath("unknown.toml").read_text("utf-8"))
    return [
        {
            "what": words[row["what"]]["is"],
            "rows": row["rows"],
            "from": row["first_day"],
            "to": row["last_day"],
            "so": words[row["what"]]["so"],
        }
        for row in rows
    ]
