"""Writes the report to files: one HTML page, or one CSV or Parquet file per table."""

from collections.abc import Sequence
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from apex_pipeline.reports.tables import ReportTable, cell

Format = Literal["html", "csv", "parquet"]

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
section { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid #8884; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
"""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_report(tables: Sequence[ReportTable], folder: Path, form: Format) -> list[Path]:
    """Write the tables below `folder`, which is created; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    if form == "html":
        path = folder / "report.html"
        path.write_text(_page(tables), "utf-8")
        return [path]
    return [_write_table(table, folder, form) for table in tables]


def _write_table(table: ReportTable, folder: Path, form: Format) -> Path:
    path = folder / f"{table.name}.{form}"
    if form == "csv":
        rows = [[_safe(cell(value)) for value in row.values()] for row in table.rows]
        pd.DataFrame(rows, columns=pd.Index(table.columns), dtype=str).to_csv(path, index=False)
    else:
        pq.write_table(_exact(table), path)
    return path


def _exact(table: ReportTable) -> pa.Table:
    """Arrow columns that keep every digit: decimals wide enough for their own values, the rest as it is."""
    return pa.table({column: pa.array([row[column] for row in table.rows]) for column in table.columns})


def _safe(text: str) -> str:
    """A CSV cell that no spreadsheet runs as a formula; plain numbers stay numbers."""
    if text.startswith(_FORMULA_STARTS) and not text.removeprefix("-").replace(".", "", 1).isdigit():
        return f"'{text}"
    return text


def _page(tables: Sequence[ReportTable]) -> str:
    body = "\n".join(_section(table) for table in tables)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>APEX report</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>APEX report</h1>\n{body}\n</body></html>\n"
    )


def _section(table: ReportTable) -> str:
    if not table.rows:
        return f"<section><h2>{escape(table.title)}</h2><p>{escape(table.note)}</p></section>"
    head = "".join(f'<th scope="col">{escape(column.replace("_", " "))}</th>' for column in table.columns)
    rows = "\n".join(f"<tr>{''.join(map(_td, row.values(), table.cells(row)))}</tr>" for row in table.rows)
    return (
        f"<section><h2>{escape(table.title)}</h2><table><thead><tr>{head}</tr></thead>"
        f"<tbody>\n{rows}\n</tbody></table></section>"
    )


def _td(value: object, text: str) -> str:
    number = ' class="number"' if isinstance(value, (int, Decimal)) else ""
    return f"<td{number}>{escape(text)}</td>"
