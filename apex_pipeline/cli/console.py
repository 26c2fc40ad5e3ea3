"""Output for people: one clear line for an error, a progress bar on a terminal, plain text elsewhere."""

import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from apex_pipeline.errors import ApexError, ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from apex_pipeline.pipeline import Observe
    from apex_pipeline.reports.tables import ReportTable

PLAIN_WIDTH = 1000
"""Columns for output that no terminal limits: a table in a file or a pipe is not folded."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else PLAIN_WIDTH)

DONE, UNFINISHED, USAGE = 0, 1, 2
SECONDS_BETWEEN_PLAIN_LINES = 2.0
ROWS_SHOWN = 20
LEAST_TEXT = 16
"""Columns that a text of a table may be folded to; narrower ones are not readable."""
BETWEEN_COLUMNS = 4


@contextmanager
def errors_in_one_line(*, debug: bool = False) -> Generator[None]:
    """Say what went wrong and end with the exit code of its kind; a traceback only when asked for."""
    try:
        yield
    except ApexError as error:
        if debug:
            raise
        say(f"apex: {error}")
        raise typer.Exit(USAGE if isinstance(error, ConfigError) else UNFINISHED) from None


@contextmanager
def progress() -> "Generator[Observe]":
    """An observer that shows a bar on a terminal, and a line now and then elsewhere."""
    if not err.is_terminal:
        yield _plain_lines()
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=err, transient=True
    ) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total or None)


def _plain_lines() -> Callable[[str, int, int], None]:
    last = 0.0

    def observe(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_PLAIN_LINES:
            last = time.monotonic()
            say(f"  {what}{f' ({done + 1} of {total})' if total else ''}")

    return observe


def say(text: str) -> None:
    """One line on stderr, so that stdout holds results only; never folded."""
    err.print(text, markup=False, soft_wrap=True)


def line(text: str) -> None:
    """One line of a result on stdout; never folded."""
    out.print(text, markup=False, soft_wrap=True)


def show(table: "ReportTable", most: int = ROWS_SHOWN) -> None:
    """Print a table, cut to `most` rows with a line that says so; value by value where a grid has no room."""
    out.print(f"\n{table.title}", style="bold", markup=False)
    if not table.rows:
        line(f"  {table.note}")
        return
    rows = table.rows[:most]
    if _fits(table, rows, out.width):
        out.print(_grid(table, rows))
    else:
        _tell_each(table, rows)
    if len(table.rows) > most:
        line(f"  … and {len(table.rows) - most} more")


def _fits(table: "ReportTable", rows: Sequence[Mapping[str, Any]], width: int) -> bool:
    """Whether a grid of these rows has room for every identity, date and number in one piece."""
    cells = list(zip(table.columns, *(table.cells(row) for row in rows), strict=True))
    natural = [max(map(len, column)) for column in cells]
    least = [
        size if _is_whole(name, rows) else min(size, LEAST_TEXT)
        for name, size in zip(table.columns, natural, strict=True)
    ]
    return sum(least) + BETWEEN_COLUMNS * len(least) <= width


def _is_whole(column: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column is never folded: what is copied from it, or read as one number, would be lost."""
    return column.endswith(("_uid", "_id", "follows")) or all(not isinstance(row[column], str) for row in rows)


def _tell_each(table: "ReportTable", rows: Sequence[Mapping[str, Any]]) -> None:
    """One line for each value that there is, and a line between rows."""
    width = max(map(len, table.columns))
    for place, row in enumerate(rows):
        if place:
            line("")
        for column, text in zip(table.columns, table.cells(row), strict=True):
            if text:
                line(f"  {column.replace('_', ' '):<{width}}  {text}")


def _grid(table: "ReportTable", rows: Sequence[Mapping[str, Any]]) -> "Table":
    from rich.table import Table

    grid = Table(box=None, padding=(0, 2), show_edge=False)
    for column in table.columns:
        numeric = all(not isinstance(row[column], str) for row in rows)
        side = "right" if numeric else "left"
        name = column.replace("_", " ")
        grid.add_column(name, justify=side, overflow="fold", no_wrap=_is_whole(column, rows))
    for row in rows:
        grid.add_row(*table.cells(row))
    return grid
