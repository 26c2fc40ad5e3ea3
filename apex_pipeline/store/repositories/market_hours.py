"""When bars are due: the hours of a series, and the days of its exchange, known also where no stage stored them.

Days that `market_days` lacks come from the library of calendars; what people said (`calendar_overrides`) holds for all
of them. Nothing is written: stages alone keep `market_days`, because what they computed depends on it.
"""

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apex_pipeline.domain.bar_hours import SeriesHours
from apex_pipeline.domain.calendars import overridden
from apex_pipeline.domain.ledger import CalendarOverride, MarketDay
from apex_pipeline.reference.exchanges import market_days
from apex_pipeline.store.tables import row_as
from apex_pipeline.store.transaction import Row, Transaction

_DAY = timedelta(days=1)


def series_hours(tx: Transaction, symbol: str, timeframe: str, exchange: str | None = None) -> SeriesHours:
    """Where and when bars of this symbol and length are due."""
    (row,) = tx.fetch("bars_hours", symbol=symbol, timeframe=timeframe, exchange=exchange)
    pause = (row["break_begins"], row["break_ends"]) if row["break_begins"] else None
    return SeriesHours(row["calendar"], ZoneInfo(row["timezone"]), row["is_daily"], _step(row), row["is_sparse"], pause)


def days_between(tx: Transaction, calendar: str, first: date, last: date) -> list[MarketDay]:
    """Every day of a calendar between two dates, both included, as far as anybody knows it."""
    said = {row["on_date"]: row_as(CalendarOverride, row) for row in overrides_of(tx, calendar)}
    rows = tx.fetch("market_days_between", calendar=calendar, from_date=first, to_date=last)
    stored = {row["on_date"]: row_as(MarketDay, row) for row in rows}
    days = {
        **{day.on_date: day for part in _lacking(stored, first, last) for day in market_days(calendar, *part)},
        **stored,
    }
    return [overridden(day, said[at]) if at in said else day for at, day in sorted(days.items())]


def overrides_of(tx: Transaction, calendar: str) -> list[Row]:
    """What people said of the days of a calendar."""
    return [row for row in tx.fetch("calendar_overrides") if row["calendar"] == calendar]


def _lacking(stored: Any, first: date, last: date) -> list[tuple[date, date]]:
    """Days that are not stored, in as few ranges as it takes."""
    parts: list[tuple[date, date]] = []
    for day in (first + n * _DAY for n in range((last - first).days + 1)):
        if day in stored:
            continue
        if parts and parts[-1][1] == day - _DAY:
            parts[-1] = parts[-1][0], day
        else:
            parts.append((day, day))
    return parts


def _step(row: Row) -> int | None:
    return 86_400_000_000 if row["is_daily"] else row["step"]
