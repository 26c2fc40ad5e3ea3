"""The days of the made-up year: when markets are open, when trades settle, and what a date looks like in a file.

Written from the facts alone; nothing here is shared with the program.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
BIRTH = date(2024, 1, 2)
"""The first day of the account; what it did before `FIRST` no statement tells."""
FIRST, LAST = date(2024, 7, 1), date(2025, 6, 30)
DAY = timedelta(1)

_US = {
    "2024-01-15", "2024-02-19", "2024-03-29", "2024-05-27", "2024-06-19", "2024-07-04", "2024-09-02", "2024-11-28",
    "2024-12-25", "2025-01-01", "2025-01-09", "2025-01-20", "2025-02-17", "2025-04-18", "2025-05-26", "2025-06-19",
    "2025-07-04",
}  # fmt: skip
_US_BANKS = {"2024-10-14", "2024-11-11"}
_ELSEWHERE = {
    "2024-02-12", "2024-02-13", "2024-04-01", "2024-04-04", "2024-05-01", "2024-05-15", "2024-06-10", "2024-07-01",
    "2024-09-06", "2024-09-18", "2024-10-01", "2024-10-11", "2024-12-24", "2024-12-26", "2024-12-31", "2025-01-29",
    "2025-01-30", "2025-01-31", "2025-04-04", "2025-04-21", "2025-05-01", "2025-05-05", "2025-07-01",
}  # fmt: skip
_T1 = date(2024, 5, 28)


def is_open(day: date) -> bool:
    """Whether New York trades."""
    return day.isoweekday() <= 5 and str(day) not in _US


def open_days(first: date, last: date) -> list[date]:
    """The days of New York's exchanges."""
    return [day for day in days(first, last) if is_open(day)]


def days(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + number * DAY


def is_quiet(day: date) -> bool:
    """Whether every market is open on this day and on all weekdays of the week after it."""
    week = [one for one in days(day, day + 7 * DAY) if one.isoweekday() <= 5]
    return day.isoweekday() <= 5 and not {str(one) for one in week} & (_US | _US_BANKS | _ELSEWHERE)


def next_open(day: date) -> date:
    day += DAY
    while not is_open(day):
        day += DAY
    return day


def settles(day: date, category: str, currency: str) -> date:
    """Settlement by the cycle of the market: options and futures on the next day, US stocks by the rule of the time."""
    if category in ("OPT", "FUT") or (currency == "USD" and category == "STK" and day >= _T1):
        count = 1
    else:
        count = 2 if category != "BOND" else 1
    while count:
        day += DAY
        if day.isoweekday() <= 5 and str(day) not in _US | _US_BANKS:
            count -= 1
    return day


def at(day: date, hour: int, minute: int, second: int = 0) -> datetime:
    """That time in New York."""
    return datetime.combine(day, time(hour, minute, second), NEW_YORK)


@dataclass(frozen=True)
class Dates:
    """How a file writes dates and times, in the letters of strftime."""

    day: str = "%Y%m%d"
    clock: str = ";%H%M%S"

    def date(self, day: date | None) -> str:
        return day.strftime(self.day) if day else ""

    def moment(self, moment: datetime | None) -> str:
        return moment.astimezone(NEW_YORK).strftime(self.day + self.clock) if moment else ""


COMPACT = Dates()
FORMATS = (
    COMPACT,
    Dates("%Y-%m-%d", ";%H:%M:%S"),
    Dates("%Y-%m-%d", " %H:%M:%S"),
    Dates("%Y%m%d", ";%H%M%S %Z"),
    Dates("%Y-%m-%d", ", %H:%M:%S"),
)
