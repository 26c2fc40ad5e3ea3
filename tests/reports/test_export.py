"""Exported cells are what is stored: no spreadsheet runs one, no program gets a rounded one."""

import csv
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apex_pipeline.reports.export import exact, safe, write_report
from apex_pipeline.reports.reading import export_tables
from apex_pipeline.reports.tables import ReportTable
from apex_pipeline.store.db import Database
from tests.reports import book

FORMULAS = [
    "=1+1", "=cmd|' /C calc'!A0", "+1+1", "+1", "-1+1", "-2+3+cmd|' /C calc'!A0", "@SUM(1+1)", "\t=1+1", "\r=1+1",
    "\n=1+1", '=HYPERLINK("http://x","y")', "-A1", "--1", "-1e5", "-1,5", "- 1", "-", "+", "=", "@", " =1+1",
    "\u00a0=1+1", "\ufeff=1+1", "\u200b=1+1", "\uff1d1+1", "\uff0b1", "\uff0d1+1", "\uff20SUM(1)", "-\u0661",
    "+49 30 123", "-1.2.3", "\x00=1",
]  # fmt: skip
PLAIN = [
    "-1", "-1.5", "0", "12", "-0.000000000000000001", "12345678901234567890.10", "US.AAPL", "2026-03-02", "a=b", "",
    "HK.00700 2026-08-28 C 42.5", "佣金", "1-2", "'=1",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_might_run_begins_with_an_apostrophe(text: str) -> None:
    assert safe(text) == f"'{text}"


@pytest.mark.parametrize("text", PLAIN)
def test_control_numbers_and_words_stay_as_they_are(text: str) -> None:
    assert safe(text) == text


def test_no_cell_and_no_head_of_a_file_is_a_formula(tmp_path: Path) -> None:
    rows = [{"what": text, "=head": Decimal(-1)} for text in FORMULAS if "\x00" not in text]
    (path,) = write_report([ReportTable("t", "T", rows)], tmp_path, "csv")
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert "'=head" in cells
    assert all(cell == "-1" or not cell.lstrip().startswith(("=", "+", "-", "@")) for cell in cells)


def test_the_files_of_a_book_hold_no_formula_of_a_broker(db: Database, tmp_path: Path) -> None:
    book.filled(db)
    write_report(export_tables(db), tmp_path, "csv")
    assert "'=1+1" in (tmp_path / "quarantine.csv").read_text("utf-8")
    assert book.HOSTILE in (tmp_path / "open_breaks.csv").read_text("utf-8"), "in a CSV markup is only text"


def test_decimals_are_decimals_in_parquet_whatever_is_beside_them() -> None:
    kinds = exact(
        ReportTable(
            "t",
            "T",
            [
                {"a": Decimal("1.50"), "mixed": 3, "wide": Decimal(10) ** 40, "none": None, "count": 2},
                {
                    "a": Decimal("-0.000000001"),
                    "mixed": Decimal("0.5"),
                    "wide": Decimal("0.5"),
                    "none": None,
                    "count": 3,
                },
                {"a": None, "mixed": None, "wide": None, "none": None, "count": None},
            ],
        )
    )
    assert kinds.schema.field("a").type == pa.decimal128(38, 9)
    assert kinds.schema.field("mixed").type == pa.decimal128(38, 1)
    assert kinds.schema.field("wide").type == pa.decimal256(76, 1)
    assert kinds.schema.field("count").type == pa.int64()
    assert kinds.column("wide").to_pylist() == [Decimal(10) ** 40, Decimal("0.5"), None]
    assert not any(pa.types.is_floating(field.type) for field in kinds.schema)


def test_a_number_too_long_for_parquet_is_text_and_not_a_rounded_number() -> None:
    told = exact(ReportTable("t", "T", [{"a": Decimal("1." + "3" * 90)}]))
    assert told.column("a").to_pylist() == ["1." + "3" * 90]


def test_instants_are_utc_in_parquet(tmp_path: Path) -> None:
    at = datetime(2026, 3, 8, 18, 30, tzinfo=UTC)
    table = ReportTable("t", "T", [{"at": at, "on": date(2026, 3, 8)}]).at(ZoneInfo("America/New_York"))
    (path,) = write_report([table], tmp_path, "parquet")
    schema = pq.read_schema(path)
    assert schema.field("at").type == pa.timestamp("us", tz="UTC")
    assert pq.read_table(path).to_pylist() == [{"at": at, "on": date(2026, 3, 8)}]


def test_every_table_of_a_book_is_written_in_every_form_with_all_its_digits(db: Database, tmp_path: Path) -> None:
    book.filled(db)
    tables = export_tables(db)
    for form in ("csv", "parquet"):
        assert len(write_report(tables, tmp_path, form)) == len(tables) == len({table.name for table in tables})
    held = pq.read_table(tmp_path / "positions.parquet").to_pylist()
    assert book.LONG in [row["market_value"] for row in held]
    assert str(book.LONG) in (tmp_path / "positions.csv").read_text("utf-8")
    worth = pq.read_table(tmp_path / "equity.parquet")
    assert worth.column("net_liquidation").null_count == 2


def test_a_name_of_a_table_cannot_leave_the_folder(tmp_path: Path) -> None:
    (path,) = write_report([ReportTable("../a/b", "T", [{"a": 1}])], tmp_path / "in", "csv")
    assert path.resolve().parent == (tmp_path / "in").resolve()
