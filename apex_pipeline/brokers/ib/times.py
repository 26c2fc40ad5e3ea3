"""Dates and times as Flex statements write them; every account chooses its own format.

Times without a zone are America/New_York whatever the venue. Slashed dates do not say whether the day or
the month comes first: that is decided once per document (`slash_order`) and never guessed per value.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apex_pipeline.errors import UnknownPayload

NEW_YORK = ZoneInfo("America/New_York")
BLANKS = frozenset({"", "-", "--", "N/A", "MULTI"})
"""What Flex writes where there is no value, or more than one."""

DAY_FIRST = "dmy"
MONTH_FIRST = "mdy"
UNDECIDED = ""

MONTHS_OF_A_YEAR = 12
_LONG_YEAR = len("yyyy")

_DATE = r"(?P<date>\d{8}|\d{4}-\d{1,2}-\d{1,2}|\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})|\d{1,2}-[A-Za-z]{3}-(?:\d{4}|\d{2}))"
_TIME = r"(?P<time>\d{6}|\d{4}|\d{1,2}:\d{2}(?::\d{2})?)(?:\.\d+)?"
_ZONE = r"(?P<zone>[A-Za-z_]+(?:/[A-Za-z_]+)*|[+-]\d{2}:?\d{2})"
_MOMENT = re.compile(rf"{_DATE}(?:(?:\s*[;,]\s*|\s+|T|(?=\d{{1,2}}:|\d{{6}}(?!\d))){_TIME}(?:\s*{_ZONE})?)?", re.ASCII)
_SLASHED = re.compile(rb"[\"'](\d{1,2})/(\d{1,2})/(?:\d{4}|\d{2})(?!\d)")
_LONGEST_SLASHED = len('"12/31/2026"')
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_ABBREVIATIONS: dict[str, tzinfo] = {
    "EST": timezone(timedelta(hours=-5)),
    "EDT": timezone(timedelta(hours=-4)),
    "ET": NEW_YORK,
    "UTC": UTC,
    "GMT": UTC,
    "Z": UTC,
}


def date_of(text: str | None, order: str = UNDECIDED) -> date | None:
    """The date of a date or date-time text as written; None where the statement has no value.

    UnknownPayload `bad_date` or `ambiguous_date` where it cannot be read.
    """
    value = (text or "").strip()
    return None if value in BLANKS else _split(value, order)[0]


def instant_of(text: str | None, order: str = UNDECIDED) -> datetime | None:
    """The aware UTC instant of a date-time text; None for no value, MULTI or a date without a time.

    In the repeated hour of November the earlier one is meant unless the zone is written.
    UnknownPayload `bad_time`, `bad_date` or `ambiguous_date` where it cannot be read.
    """
    value = (text or "").strip()
    if value in BLANKS:
        return None
    day, clock, zone = _split(value, order)
    try:
        return None if clock is None else datetime.combine(day, clock, zone).astimezone(UTC)
    except OverflowError as error:
        raise UnknownPayload("bad_time", f"{value[:40]!r} is beyond the calendar") from error


def has_slashes(head: bytes) -> bool:
    """Whether a document that begins so writes its dates with slashes; one query uses one format throughout."""
    return _SLASHED.search(head) is not None


def slash_order(chunks: Iterable[bytes]) -> str:
    """Which part of this document's slashed dates is the day; undecided where nothing or both is proven."""
    day_first = month_first = False
    rest = b""
    for chunk in chunks:
        for match in _SLASHED.finditer(text := rest + chunk):
            first, second = int(match[1]), int(match[2])
            day_first |= first > MONTHS_OF_A_YEAR
            month_first |= second > MONTHS_OF_A_YEAR
        rest = text[-_LONGEST_SLASHED:]
    if day_first == month_first:
        return UNDECIDED
    return DAY_FIRST if day_first else MONTH_FIRST


def order_within(texts: Iterable[str], first: date, last: date) -> str:
    """The slash order under which all these dates lie between `first` and `last`; undecided if not exactly one."""
    values = [text for text in texts if "/" in text]
    fitting = [order for order in (DAY_FIRST, MONTH_FIRST) if values and _all_within(values, order, first, last)]
    return fitting[0] if len(fitting) == 1 else UNDECIDED


def _all_within(texts: list[str], order: str, first: date, last: date) -> bool:
    try:
        days = [date_of(text, order) for text in texts]
    except UnknownPayload:
        return False
    return all(day is not None and first <= day <= last for day in days)


@lru_cache(maxsize=65_536)
def _split(value: str, order: str) -> tuple[date, time | None, tzinfo]:
    match = _MOMENT.fullmatch(value)
    if match is None:
        raise UnknownPayload("bad_date", f"{value[:40]!r} is not a date or time in any form that Flex writes")
    day = _date(match["date"], order)
    clock = _clock(match["time"]) if match["time"] else None
    return day, clock, _zone(match["zone"]) if match["zone"] else NEW_YORK


def _date(text: str, order: str) -> date:
    try:
        if "/" in text:
            return _slashed(text, order)
        if text.isdigit():
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
        first, middle, last = text.split("-")
        if middle.isalpha():
            return date(_year(last), _MONTHS.index(middle.upper()) + 1, int(first))
        return date(int(first), int(middle), int(last))
    except ValueError:
        raise UnknownPayload("bad_date", f"{text!r} is not a date of the calendar") from None


def _slashed(text: str, order: str) -> date:
    head, middle, year = text.split("/")
    first, second = int(head), int(middle)
    if order == UNDECIDED and first != second:
        raise UnknownPayload("ambiguous_date", f"{text!r} may be day or month first; set the query to yyyyMMdd")
    day, month = (first, second) if order == DAY_FIRST else (second, first)
    return date(_year(year), month, day)


def _year(text: str) -> int:
    return int(text) if len(text) == _LONG_YEAR else int(text) + 2000


def _clock(text: str) -> time:
    digits = text.replace(":", "")
    digits = digits if len(digits) % 2 == 0 else f"0{digits}"
    try:
        return time(int(digits[:2]), int(digits[2:4]), int(digits[4:6] or "0"))
    except ValueError:
        raise UnknownPayload("bad_time", f"{text!r} is not a time of day") from None


def _zone(text: str) -> tzinfo:
    if text[0] in "+-":
        digits = text[1:].replace(":", "")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        return timezone(-offset if text[0] == "-" else offset) if offset < timedelta(hours=24) else _unknown(text)
    known = _ABBREVIATIONS.get(text.upper())
    if known is not None:
        return known
    try:
        return ZoneInfo(text) if "/" in text else _unknown(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return _unknown(text)


def _unknown(zone: str) -> tzinfo:
    raise UnknownPayload("bad_time", f"{zone[:40]!r} is not a time zone this program knows")
