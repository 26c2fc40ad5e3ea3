"""Prints the report's tables, and writes it: one page, or a file per table."""

from pathlib import Path

from apex_pipeline.cli.console import show
from apex_pipeline.cli.opening import Opened
from apex_pipeline.reports.anonymous import OWN, Names, names_of
from apex_pipeline.reports.contents import read_report
from apex_pipeline.reports.export import Format, write_report
from apex_pipeline.reports.reading import export_tables
from apex_pipeline.reports.rendering import write_page
from apex_pipeline.reports.risk import risk_tables
from apex_pipeline.reports.strategies import strategy_tables
from apex_pipeline.reports.tables import report_tables

FOLDER = "reports"
"""Below the home, where nothing else is named."""


def tell(found: Opened, *, anonymize: bool) -> None:
    """Print the tables, each cut to what a terminal holds."""
    reader, names = found.settings.display, _names(found, anonymize=anonymize)
    for table in (*report_tables(found.db, reader), *risk_tables(found.db, reader), *strategy_tables(found.db, reader)):
        show(names.table(table))


def write(found: Opened, folder: Path | None, form: Format, *, anonymize: bool) -> list[Path]:
    """Write the files; returns them."""
    reader, names = found.settings.display, _names(found, anonymize=anonymize)
    place = folder or found.settings.home / FOLDER
    if form == "html":
        return [write_page(read_report(found.db, reader, names=names), place)]
    return write_report(export_tables(found.db, reader, names), place, form)


def _names(found: Opened, *, anonymize: bool) -> Names:
    return names_of(found.db) if anonymize else OWN
