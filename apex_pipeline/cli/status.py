"""What is loaded, how old it is and what waits for a person."""

from typing import Any

from apex_pipeline.cli.console import line, show
from apex_pipeline.cli.opening import Opened
from apex_pipeline.reports.tables import Reader, ReportTable
from apex_pipeline.store.connection import where


def status_of(found: Opened) -> dict[str, Any]:
    """Coverage per account and data type, breaks, quarantine, failures, schema version."""
    db = found.db
    return {
        "database": where(db.url),
        "migration": found.migrations.get_current_version(),
        **(db.fetchrow("open_breaks") or {}),
        "quarantined": len(db.fetch("report_quarantine")),
        "coverage": db.fetch("report_coverage"),
        "recent_failures": db.fetch("recent_failures"),
    }


def tell_status(told: dict[str, Any], reader: Reader) -> None:
    """Print it for a person."""
    for name in ("database", "migration", "open_breaks", "error_breaks", "quarantined"):
        line(f"{name.replace('_', ' ')}: {told[name]}")
    coverage = ReportTable("coverage", "Coverage", told["coverage"], "nothing is loaded yet: run `apex backfill`")
    show(coverage.at(reader))
    if told["recent_failures"]:
        show(ReportTable("recent_failures", "Recent failures", told["recent_failures"]).at(reader))
