"""Days of exchanges: which calendar a market follows, what an override changes, and when banks are closed.

Here belong the rules over `MarketDay` rows. Where the rows come from is the business of `reference.exchanges`.
A settlement day is a day on which money and securities change hands: a session on which the banks are open too.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from apex_pipeline.domain.ledger import CalendarOverride, MarketDay

CALENDARS: Mapping[str, str] = {
    "US": "XNYS", "HK": "XHKG", "UK": "XLON", "DE": "XETR", "FR": "XPAR", "NL": "XAMS", "BE": "XBRU", "IT": "XMIL",
    "ES": "XMAD", "PT": "XLIS", "AT": "XWBO", "CH": "XSWX", "SE": "XSTO", "NO": "XOSL", "DK": "XCSE", "FI": "XHEL",
    "PL": "XWAR", "CA": "XTSE", "JP": "XTKS", "SG": "XSES", "AU": "XASX", "KR": "XKRX", "TW": "XTAI",
}  # fmt: skip
"""The calendar (ISO 10383 code) of the stocks and options of a market; a market that is not named here has none."""

ZONES: Mapping[str, str] = {
    "XNYS": "America/New_York", "XHKG": "Asia/Hong_Kong", "XLON": "Europe/London", "XETR": "Europe/Berlin",
    "XPAR": "Europe/Paris", "XAMS": "Europe/Amsterdam", "XBRU": "Europe/Brussels", "XMIL": "Europe/Rome",
    "XMAD": "Europe/Madrid", "XLIS": "Europe/Lisbon", "XWBO": "Europe/Vienna", "XSWX": "Europe/Zurich",
    "XSTO": "Europe/Stockholm", "XOSL": "Europe/Oslo", "XCSE": "Europe/Copenhagen", "XHEL": "Europe/Helsinki",
    "XWAR": "Europe/Warsaw", "XTSE": "America/Toronto", "XTKS": "Asia/Tokyo", "XSES": "Asia/Singapore",
    "XASX": "Australia/Sydney", "XKRX": "Asia/Seoul", "XTAI": "Asia/Taipei",
}  # fmt: skip
"""The zone in which the closing time of an override is meant."""

AHEAD = timedelta(days=40)
"""How far beyond the last known day calendars are kept: every trade known today settles before."""

BEFORE = timedelta(days=20)
"""A changed day can move what was traded so long before it: no market was closed for longer."""


def library_day(calendar: str, day: date, hours: tuple[datetime, datetime] | None) -> MarketDay:
    """A day as the library tells it: `hours` are opening and close (UTC) of a session, None when there is none."""
    settles = hours is not None and not is_bank_holiday(calendar, day)
    opens_at, closes_at = hours or (None, None)
    return MarketDay(calendar, day, hours is not None, settles, opens_at, closes_at)


def overridden(day: MarketDay, override: CalendarOverride) -> MarketDay:
    """A day with what a person said about it.

    A closing time is the wall clock of the exchange. Without one the hours stay those of the library; they are
    unknown on a day that it takes for a holiday.
    """
    if not override.is_session:
        return replace(
            day, is_session=False, is_settlement_day=override.is_settlement_day, opens_at=None, closes_at=None
        )
    closes_at = day.closes_at
    if override.closes_at is not None:
        closes_at = datetime.combine(day.on_date, override.closes_at, ZoneInfo(ZONES[day.calendar]))
    return replace(day, is_session=True, is_settlement_day=override.is_settlement_day, closes_at=closes_at)


def is_bank_holiday(calendar: str, day: date) -> bool:
    """Whether banks are closed while the exchange trades.

    In the United States on Columbus Day (second Monday of October) and Veterans Day (11 November; on the Monday
    after when that is a Sunday, on no other day when it is a Saturday). Other calendars: on no session.
    """
    if calendar != "XNYS":
        return False
    if day.month == 10:
        return day.weekday() == 0 and 8 <= day.day <= 14
    return day.month == 11 and (day.day == 11 or (day.day == 12 and day.weekday() == 0))
