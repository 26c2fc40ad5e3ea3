"""Tables as cells of HTML: exact text, told apart as numbers, words and what is not known. Every text is escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from markupsafe import Markup, escape

from apex_pipeline.reports.tables import ReportTable

MOST_ROWS = 1_000
"""Rows of one table on the page; the exports hold all of them."""

WIDE = 40
"""Characters from which a column is for reading: it is kept from being squeezed."""

_MAY_NOT_APPLY = frozenset({"strategy_types", "strategy_cards", "strategy_timelines", "chains", "wheels", "review"})
"""Tables in which an empty number may also be one that does not apply: shares have no premium, openings no gain."""

_NAMING = frozenset({"month", "strategy", "underlying", "symbol", "day", "check", "subject", "what", "chain"})
"""Columns that say what a row is about."""


@dataclass(frozen=True, slots=True)
class Head:
    """A column: its words, and how it looks (`n` a number, `w` wide)."""

    title: str
    look: str


@dataclass(frozen=True, slots=True)
class ShownTable:
    """A table as the page shows it; `left` rows are left out."""

    title: str
    heads: Sequence[Head]
    rows: Sequence[Sequence[Markup]]
    note: str
    left: int = 0


def shown(table: ReportTable, most: int = MOST_ROWS) -> ShownTable:
    """A table as cells."""
    rows = table.rows[:most]
    looks = [_look(column, rows) for column in table.columns]
    naming = next((column for column in table.columns if column in _NAMING), None)
    heads = [Head(column.replace("_", " "), look) for column, look in zip(table.columns, looks, strict=True)]
    absent = Markup('<span class="unknown">{}</span>').format("–" if table.name in _MAY_NOT_APPLY else "unknown")
    cells = [
        [
            _cell(column == naming, look, absent if value is None and look == "n" else _inner(look, text))
            for (column, value), look, text in zip(row.items(), looks, table.cells(row), strict=True)
        ]
        for row in rows
    ]
    return ShownTable(table.title, heads, cells, table.note, max(0, len(table.rows) - most))


def _look(column: str, rows: Sequence[Mapping[str, Any]]) -> str:
    values = [row[column] for row in rows if row[column] is not None]
    if values and all(isinstance(value, (int, Decimal)) for value in values):
        return "n"
    texts = (value for value in values if isinstance(value, str))
    return "w" if any(len(text) >= WIDE for text in texts) else ""


def _cell(is_naming: bool, look: str, inner: Markup) -> Markup:
    tag = Markup("th") if is_naming else Markup("td")
    kind = Markup(' class="{}"').format(look) if look else Markup("")
    scope = Markup(' scope="row"') if is_naming else Markup("")
    return Markup("<{0}{1}{2}>{3}</{0}>").format(tag, scope, kind, inner)


def _inner(look: str, text: str) -> Markup:
    if look == "n":
        return spaced(text)
    if text.startswith("apex "):
        return Markup("<br>").join(Markup("<code>{}</code>").format(command) for command in text.split("; "))
    return escape(text)


def spaced(text: str) -> Markup:
    """A number whose thousands stand a little apart; its text is the exact digits."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, point, rest = digits.partition(".")
    if not whole.isdigit() or len(whole) < 5:
        return escape(text)
    first = len(whole) % 3 or 3
    groups = [whole[n : n + 3] for n in range(first, len(whole), 3)]
    return Markup("{}{}{}{}").format(
        sign, whole[:first], Markup("").join(Markup("<span>{}</span>").format(group) for group in groups), point + rest
    )
