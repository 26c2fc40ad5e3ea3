"""Report tables keep every digit, show instants on the reader's clock and cannot run as formulas."""

import stat
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from pyarrow import ArrowInvalid

from apex_pipeline.reports.export import write_report
from apex_pipeline.reports.strategies import markdown
from apex_pipeline.reports.tables import ReportTable, cell, first_rows, report_tables
from apex_pipeline.settings import DisplaySettings
from apex_pipeline.store.db import Database

AT = datetime(2026, 3, 8, 18, 30, tzinfo=UTC)
TABLE = ReportTable(
    "fees",
    "Fees <by> month",
    [
        {"title": "=HYPERLINK(1)", "amount": Decimal("-0.000000000000000001"), "at": AT},
        {"title": "佣金", "amount": Decimal("12345678901234567890.10"), "at": None},
    ],
)


def test_an_instant_is_shown_on_the_readers_clock() -> None:
    shown = TABLE.at(ZoneInfo("Asia/Hong_Kong")).rows[0]["at"]
    assert shown == AT
    assert cell(shown) == "2026-03-09 02:30:00 HKT"
    assert cell(AT) == "2026-03-08 18:30:00 UTC", "control: without a zone it is UTC"


def test_dates_and_times_are_written_as_their_reader_wants(tmp_path: Path) -> None:
    forms = DisplaySettings(ZoneInfo("America/New_York"), "%d.%m.%Y", "%H h %M", "%d.%m. %H:%M %Z")
    row = {"on": date(2026, 3, 8), "opens": time(9, 30), "at": AT}
    table = ReportTable("times", "Times", [row]).at(forms)
    assert table.cells(table.rows[0]) == ["08.03.2026", "09 h 30", "08.03. 14:30 EDT"]
    assert "<td>08.03. 14:30 EDT</td>" in write_report([table], tmp_path, "html")[0].read_text("utf-8")
    assert "| 08.03.2026 | 09 h 30 | 08.03. 14:30 EDT |" in markdown([table])
    (path,) = write_report([table], tmp_path, "csv")
    assert path.read_text("utf-8").splitlines()[1] == "2026-03-08,09:30:00,2026-03-08 14:30:00 EDT"


def test_parquet_keeps_every_digit(tmp_path: Path) -> None:
    (path,) = write_report([TABLE], tmp_path, "parquet")
    assert pq.read_table(path).to_pylist() == list(TABLE.rows)


def test_a_csv_cell_is_never_a_formula_and_a_number_stays_one(tmp_path: Path) -> None:
    (path,) = write_report([TABLE], tmp_path, "csv")
    lines = path.read_text("utf-8").splitlines()
    assert lines[1] == "'=HYPERLINK(1),-0.000000000000000001,2026-03-08 18:30:00 UTC"
    assert lines[2] == "佣金,12345678901234567890.1,"


def test_a_page_shows_text_and_never_markup_of_a_broker(tmp_path: Path) -> None:
    (path,) = write_report([TABLE, ReportTable("none", "None", [], "<b>nothing</b>")], tmp_path, "html")
    page = path.read_text("utf-8")
    assert "Fees &lt;by&gt; month" in page
    assert "&lt;b&gt;nothing" in page


@pytest.mark.parametrize("form", ["html", "csv", "parquet"])
def test_files_are_for_their_owner_only_and_replace_whole_ones(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "reports" / "new"
    (path,) = write_report([TABLE], folder, form)  # pyright: ignore[reportArgumentType]  # a plain parameter
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (folder.parent, folder, path)]
    assert modes == [0o700, 0o700, 0o600]
    before = path.read_bytes()
    unwritable = ReportTable(TABLE.name, TABLE.title, [{"a": Unwritable()}])
    with pytest.raises((RuntimeError, ArrowInvalid)):
        write_report([unwritable], folder, form)  # pyright: ignore[reportArgumentType]
    assert [one.name for one in folder.iterdir()] == [path.name]
    assert path.read_bytes() == before


class Unwritable:
    """A value that ends the writing midway."""

    def __str__(self) -> str:
        raise RuntimeError("the disk is full")

    __repr__ = __str__


def test_a_table_that_was_cut_says_so() -> None:
    rows = [{"n": n} for n in range(3)]
    assert first_rows("t", "Some", rows, 3).title == "Some (the first 3)"
    assert first_rows("t", "Some", rows, 4).title == "Some"
    assert markdown([ReportTable("t", "T", [{"n": n} for n in range(103)])]).endswith("| 99 |\n\n… and 3 more")


@pytest.mark.parametrize("form", ["html", "csv", "parquet"])
def test_an_empty_database_has_a_report_too(db: Database, tmp_path: Path, form: str) -> None:
    tables = report_tables(db, UTC)
    paths = write_report(tables, tmp_path, form)  # pyright: ignore[reportArgumentType]  # a plain parameter
    assert all(path.stat().st_size > 0 for path in paths)
    assert {table.name: len(table.rows) for table in tables if table.rows} == {}
