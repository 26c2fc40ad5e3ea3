"""How a statement is written down: XML elements, numbers, and the date formats among which an account may choose."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import final
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
"""The zone of every time in a statement, whatever the venue."""

DATE_ATTRIBUTES = frozenset({
    "fromDate", "toDate", "whenGenerated", "reportDate", "dateTime", "tradeDate", "settleDateTarget", "settleDate",
    "orderTime", "openDateTime", "holdingPeriodDateTime", "whenRealized", "whenReopened", "origTradeDate", "expiry",
    "date", "exDate", "payDate", "dateOpened", "dateFunded", "dateClosed", "lastTradedDate", "maturity", "issueDate",
    "vestingDate",
})  # fmt: skip
_SPECIAL = re.compile(r'[&<>"]')
_WRITTEN = re.compile(r"(\d{4})(\d\d)(\d\d)(?:;(\d\d)(\d\d)(\d\d))?")
_BLANK = ""


@dataclass(frozen=True, slots=True)
class Written:
    """A date and a time, in pieces."""

    year: str
    month: str
    day: str
    clock: tuple[str, str, str] | None


def _compact(at: Written) -> str:
    return f"{at.year}{at.month}{at.day}" + (f";{''.join(at.clock)}" if at.clock else "")


def _iso(at: Written) -> str:
    return f"{at.year}-{at.month}-{at.day}" + (f";{':'.join(at.clock)}" if at.clock else "")


def _zone(at: Written) -> str:
    """With the abbreviation of New York's time; the earlier one in the hour that comes twice."""
    if not at.clock:
        return _iso(at)
    moment = datetime(*(int(part) for part in (at.year, at.month, at.day, *at.clock)), tzinfo=NEW_YORK)
    return f"{_iso(at)} {moment:%Z}"


def _blank(at: Written) -> str:
    return _compact(at).replace(";", " ")


def _slash_mdy(at: Written) -> str:
    return f"{at.month}/{at.day}/{at.year}" + (f";{':'.join(at.clock)}" if at.clock else "")


FORMATS: Mapping[str, Callable[[Written], str]] = {
    "compact": _compact, "iso": _iso, "zone": _zone, "blank": _blank, "slash_mdy": _slash_mdy,
}  # fmt: skip
"""yyyyMMdd;HHmmss · yyyy-MM-dd;HH:mm:ss · that with EDT or EST · a blank for the semicolon · MM/dd/yyyy."""


def number(value: Decimal) -> str:
    """A decimal without exponent and trailing zeros; zero has no sign."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


@final
class Pen:
    """Writes elements with the dates in one of the formats of `FORMATS`."""

    def __init__(self, dates: str) -> None:
        self._format = FORMATS[dates]
        self._plain = dates == "compact"

    def attributes(self, names: Sequence[str], values: Mapping[str, str]) -> str:
        """The attributes in the order of `names`; what has no value is an empty text."""
        if not self._plain:
            values = {n: self._dated(v) if n in DATE_ATTRIBUTES else v for n, v in values.items()}
        if _SPECIAL.search("".join(values.values())):
            values = {name: escape(value, {'"': "&quot;"}) for name, value in values.items()}
        told = values.get
        return " ".join([f'{name}="{told(name, _BLANK)}"' for name in names])

    def row(self, element: str, names: Sequence[str], values: Mapping[str, str]) -> str:
        """One element without children."""
        return f"<{element} {self.attributes(names, values)} />"

    def rows(self, section: str, element: str, names: Sequence[str], rows: Iterable[Mapping[str, str]]) -> list[str]:
        """The lines of a section whose rows are all of one kind."""
        return self.section(section, (self.row(element, names, values) for values in rows))

    def section(self, name: str, rows: Iterable[str]) -> list[str]:
        """The lines of a section; an empty one is a single element."""
        lines = list(rows)
        return [f"<{name}>", *lines, f"</{name}>"] if lines else [f"<{name} />"]

    def _dated(self, text: str) -> str:
        found = _WRITTEN.fullmatch(text)
        if found is None:
            return text
        year, month, day, *clock = found.groups()
        return self._format(Written(year, month, day, (clock[0], clock[1], clock[2]) if clock[0] else None))
