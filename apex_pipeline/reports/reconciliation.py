"""What a person reads of reconciliation: what does not agree, what accounts for the rest, and what was compared."""

from collections.abc import Mapping
from datetime import UTC, date
from typing import Any

from apex_pipeline.domain.checks import CHECKS, CheckName
from apex_pipeline.reports.tables import Reader, ReportTable
from apex_pipeline.store.db import Database

AGREES = "none: every check agrees"


def reconciliation_tables(db: Database, from_date: date, to_date: date, reader: Reader = UTC) -> list[ReportTable]:
    """The tables about these days, offenders first, with instants as this reader sees them."""
    days: dict[str, Any] = {"from_date": from_date, "to_date": to_date}
    tables = [
        ReportTable("open_breaks", "Open breaks", db.fetch("report_recon_open", **days), AGREES),
        ReportTable("settled_breaks", "Accounted for", db.fetch("report_recon_settled", **days), "none"),
        ReportTable("changed_breaks", "Changed by the last run", db.fetch("report_recon_changes"), "nothing"),
        ReportTable("reconciled_accounts", "By account", db.fetch("report_recon_accounts", **days), "nothing compared"),
        ReportTable("reconciled_days", "Days with breaks", db.fetch("report_recon_days", **days), "none"),
        ReportTable("checks", "By check", _by_check(db.fetch("report_recon_checks", **days))),
    ]
    return [table.at(reader) for table in tables]


def _by_check(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every check of the catalogue in its order, with what it compared or why it compared nothing."""
    told = {row["check_name"]: row for row in rows}
    return [_row(check, told.get(check.value, {})) for check in CHECKS]


def _row(check: CheckName, told: Mapping[str, Any]) -> dict[str, Any]:
    about = CHECKS[check]
    return {
        "check": about.check_id,
        "sentence": about.description,
        "compared": told.get("compared") or 0,
        "days": told.get("days") or 0,
        "open": told.get("open") or 0,
        "explained": told.get("explained") or 0,
        "accepted": told.get("accepted") or 0,
        "skipped_because": "" if told.get("compared") else about.skipped,
    }
