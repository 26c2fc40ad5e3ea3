"""Lines of the statement of funds that IB gave no id: which they are, what tells them apart, and their days as records.

All of one day are kept as one record, so that the newest statement of a day replaces what the others told of it,
whatever days they span. Within a day a line is known by its content and its number among equal ones: two equal lines
of one statement are two.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256

from apex_pipeline.brokers.ib import layout
from apex_pipeline.brokers.ib.identity import day_of, id_of, is_summary, level_of, text_of
from apex_pipeline.brokers.ib.snapshots import snapshot_records
from apex_pipeline.brokers.ib.times import date_of
from apex_pipeline.brokers.ib.told import Told
from apex_pipeline.domain.instruments import plain
from apex_pipeline.domain.money import decimal_of
from apex_pipeline.domain.records import Record
from apex_pipeline.errors import UnknownPayload

Row = dict[str, str]

_ZERO = Decimal(0)


def is_unnumbered(section: str, tag: str, attributes: Mapping[str, str], order: str) -> bool:
    """Whether the row is a line of a day without an id, and neither a balance nor a line of a sum.

    UnknownPayload where its date cannot be read; a line without any date belongs to its statement only.
    """
    named = layout.FRAMED.get(section)
    if tag != layout.LINE or named is None or id_of(attributes, named) is not None:
        return False
    return not is_summary(section, tag, attributes) and day_of(attributes, layout.DAYS, order) is not None


def content_of_line(attributes: Mapping[str, str], order: str) -> str:
    """16 hex digits of what a line says, however its dates and numbers are written; its running balance is no part."""
    told = [_as_read(name, text_of(attributes, name), order) for name in layout.LINE_CONTENT]
    amount = next((text for name in layout.LINE_AMOUNTS if (text := text_of(attributes, name))), None)
    about = id_of(attributes, "conid") or text_of(attributes, "symbol")
    return sha256(json.dumps([*told, _number(amount), about]).encode()).hexdigest()[:16]


def line_key(day: date, content: str, number: int) -> str:
    """The key of one line, which is that of its day with what tells it apart."""
    return f"{layout.UNNUMBERED}/{day}/{day}:{content}#{number}"


@dataclass(slots=True)
class UnnumberedLines:
    """The lines without an id of one statement, by account and day, as far as it tells these days whole."""

    _days: dict[tuple[str, date], list[Row]] = field(
        default_factory=lambda: defaultdict[tuple[str, date], list[Row]](list)
    )
    _accounts: set[str] = field(default_factory=set[str])

    def clear(self) -> None:
        """Another statement begins."""
        self._days.clear()
        self._accounts.clear()

    def see(self, account: str, attributes: Mapping[str, str]) -> None:
        """Note of any line whether the statement tells the movements of its account, or only sums in one currency."""
        if level_of(attributes) not in layout.SUMMARY_LEVELS:
            self._accounts.add(account)

    def take(self, account: str, row: Row, told: Told, order: str) -> bool:
        """Keep a line of a day that the statement tells whole; False for one of another day.

        Statements are cut by reportDate, so only that says that all lines of its day are here.
        """
        day = date_of(row.get("reportDate"), order)
        if day is None or (told.window and not told.window[0] <= day <= told.window[1]):
            return False
        self._days[account, day].append(row)
        return True

    def records(self, told: Told, order: str) -> Iterator[Record]:
        """One record for each day of the statement, also for those without lines: what is gone is gone."""
        first, last = told.window or (date.max, date.min)
        for account in sorted(self._accounts | self._without_lines(told)):
            for number in range((last - first).days + 1):
                _ = self._days[account, first + timedelta(days=number)]
        yield from snapshot_records(layout.UNNUMBERED, self._days, told, order)

    def _without_lines(self, told: Told) -> set[str]:
        """The account of a statement whose statement of funds is empty."""
        with_lines = {section for section, _, _ in told.rows}
        return {told.statement.account_id} - {""} if layout.FRAMED.keys() & told.sections.keys() - with_lines else set()


def _as_read(name: str, text: str | None, order: str) -> str | None:
    if name.lower().endswith("date"):
        day = date_of(text, order)
        return day.isoformat() if day else None
    return _number(text) if name in layout.LINE_NUMBERS else text


def _number(text: str | None) -> str | None:
    """A number as plain digits; what is none stays as it was told, and is refused where it is read."""
    try:
        return plain(decimal_of(text) or _ZERO) if text else None
    except UnknownPayload:
        return text
