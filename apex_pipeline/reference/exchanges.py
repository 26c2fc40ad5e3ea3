"""The days of exchanges, from the library exchange_calendars; nobody else imports it.

It is imported when first asked, because it brings pandas with it. What it cannot know (closures of the day, its own
mistakes) is said by overrides; see `domain.calendars`.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from apex_pipeline.domain.calendars import library_day, overridden
from apex_pipeline.domain.ledger import CalendarOverride, MarketDay

Hours = tuple[datetime, datetime]
"""Opening and close of a session, in UTC."""


def market_days(calendar: str, first: date, last: date, overrides: Iterable[CalendarOverride] = ()) -> list[MarketDay]:
    """Every day between two dates, both inclusive, as far as the library knows the calendar (ISO 10383 code)."""
    told = _days(calendar, first, last)
    said = {override.on_date: override for override in overrides if override.calendar == calendar}
    return [overridden(day, said[day.on_date]) if day.on_date in said else day for day in told]


@cache
def holiday_names(calendar: str, first: date, last: date) -> Mapping[date, str]:
    """The names of holidays between two dates, where the library has one."""
    book = _book(calendar, first, last)
    rules = book.regular_holidays
    told = rules.holidays(first.isoformat(), last.isoformat(), return_name=True) if rules is not None else None
    return {} if told is None else {day.date(): str(name) for day, name in told.items()}


@cache
def _days(calendar: str, first: date, last: date) -> tuple[MarketDay, ...]:
    book = _book(calendar, first, last)
    start, end = max(first, _day(book.bound_min(), first)), min(last, _day(book.bound_max(), last))
    hours = _hours(book, start, end)
    span = range(max(0, (end - start).days + 1))
    return tuple(library_day(calendar, day, hours.get(day)) for day in (start + timedelta(n) for n in span))


def _book(calendar: str, first: date, last: date) -> Any:
    """The library's calendar over these days: its usual span (20 years back, one ahead) where that is enough."""
    import exchange_calendars

    usual = exchange_calendars.get_calendar(calendar)
    start, end = max(first, _day(usual.bound_min(), first)), min(last, _day(usual.bound_max(), last))
    if end < start or (usual.first_session.date() <= start and end <= usual.last_session.date()):
        return usual
    return exchange_calendars.get_calendar(calendar, start=start.isoformat(), end=end.isoformat())


def _day(bound: Any, otherwise: date) -> date:
    """A limit of the library as a date; it has none for most calendars."""
    return otherwise if bound is None else bound.date()


def _hours(book: Any, first: date, last: date) -> dict[date, Hours]:
    told = book.schedule.loc[first.isoformat() : last.isoformat()]
    opens, closes = told["open"].dt.to_pydatetime(), told["close"].dt.to_pydatetime()
    return {day.date(): (begin, end) for day, begin, end in zip(told.index, opens, closes, strict=True)}
