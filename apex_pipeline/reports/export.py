"""Writes tables to files: CSV that no spreadsheet runs as a formula, Parquet with exact decimals and UTC instants."""

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from apex_pipeline.domain.money import places_of
from apex_pipeline.reports.files import private_folder, replacing
from apex_pipeline.reports.rendering import page_of_tables
from apex_pipeline.reports.tables import ReportTable, cell

Format = Literal["html", "csv", "parquet"]

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula; the last four are the wide forms that some read alike."""
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)
_INVISIBLE = re.compile(r"^[\s\ufeff\u200b-\u200f\u2060\x00]+")

WIDEST = 76
"""Digits of the widest decimal of Arrow."""


def write_report(tables: Sequence[ReportTable], folder: Path, form: Format) -> list[Path]:
    """Write the tables below `folder`, which is created; returns the files: one page, or one file per table."""
    private_folder(folder)
    if form == "html":
        path = folder / "report.html"
        with replacing(path) as new:
            new.write_text(page_of_tables(tables), "utf-8")
        return [path]
    return [_write_table(table, folder, form) for table in tables]


def _write_table(table: ReportTable, folder: Path, form: Format) -> Path:
    path = folder / f"{_file_name(table.name)}.{form}"
    with replacing(path) as new:
        if form == "csv":
            _write_csv(table, new)
        else:
            pq.write_table(exact(table), new)
    return path


def _write_csv(table: ReportTable, path: Path) -> None:
    """Lines end as RFC 4180 has it; the writer quotes a cell that holds either half of an ending."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(map(safe, table.columns))
        writer.writerows([safe(cell(value)) for value in row.values()] for row in table.rows)


def _file_name(name: str) -> str:
    """A name that a file may have, whatever a broker calls an account or currency."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".")


def exact(table: ReportTable) -> pa.Table:
    """Arrow columns that keep every digit: one decimal type for all of a column, instants in UTC, the rest as it is."""
    return pa.table({column: _column([row[column] for row in table.rows]) for column in table.columns})


def _column(values: Sequence[Any]) -> pa.Array:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, (Decimal, int)) and not isinstance(value, bool) for value in known):
        if any(isinstance(value, Decimal) for value in known):
            decimals = [None if value is None else Decimal(value) for value in values]
            return _decimals(decimals)
        return pa.array(values, pa.int64())
    if known and all(isinstance(value, datetime) for value in known):
        return pa.array([value and value.astimezone(UTC) for value in values], pa.timestamp("us", tz="UTC"))
    if known and isinstance(known[0], (Mapping, list, tuple)):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return pa.array(values) if known else pa.nulls(len(values))


def _decimals(values: Sequence[Decimal | None]) -> pa.Array:
    """decimal128 where 38 digits hold all values, else decimal256; text where not even that does."""
    known = [value for value in values if value is not None]
    scale = max(map(places_of, known))
    whole = max(max(value.adjusted() + 1, 1) for value in known)
    digits = whole + scale
    if digits > WIDEST:
        return pa.array([None if value is None else f"{value:f}" for value in values], pa.string())
    kind = pa.decimal128(38, scale) if digits <= 38 else pa.decimal256(WIDEST, scale)
    return pa.array(values, kind)


def safe(text: str) -> str:
    """A CSV cell that no spreadsheet runs as a formula: an apostrophe goes before it. Plain numbers stay numbers."""
    if _NUMBER.fullmatch(text) and not text.startswith("+"):
        return text
    return (
        f"'{text}" if _INVISIBLE.sub("", text).startswith(FORMULA_STARTS) or text.startswith(FORMULA_STARTS) else text
    )
