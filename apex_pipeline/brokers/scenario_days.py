"""The days of a scenario: when the exchanges of its two markets trade, and when what was traded there settles.

Sessions, early closes and settlement days are those of the real exchanges, by the calendars and the rule that the
ledger itself uses. So a scenario cannot prove that rule; statements of brokers do.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from apex_pipeline.brokers.scenario import Contract
from apex_pipeline.domain.calendars import BEFORE, CALENDARS
from apex_pipeline.domain.ledger import CalendarOverride, MarketDay
from apex_pipeline.domain.models import AssetClass
from apex_pipeline.domain.settlement import rule_of, settlement_date
from apex_pipeline.reference.exchanges import market_days

NEW_YORK = ZoneInfo("America/New_York")
ZONES = {"US": NEW_YORK, "HK": ZoneInfo("Asia/Hong_Kong")}
SESSIONS = {
    "US": ((time(9, 30), time(16, 0)),),
    "HK": ((time(9, 30), time(12, 0)), (time(13, 0), time(16, 0))),
}
"""The parts of a whole day; an early close cuts them short."""

STORMS = tuple(
    CalendarOverride("XHKG", day, is_session=False, is_settlement_day=False, closes_at=None, reason=reason)
    for day, reason in ((date(2023, 9, 1), "typhoon Saola"), (date(2023, 9, 8), "black rainstorm"))
)
"""Closures that the library does not know; a new database overrides the same days."""


def is_session(market: str, day: date) -> bool:
    """Whether the exchange of a market trades on a day."""
    told = _told(market, day)
    return told is not None and told.is_session


def session_days(market: str, start: date, end: date) -> list[date]:
    """The session days between two dates, both inclusive; none if `start` is later."""
    span = max((end - start).days + 1, 0)
    return [day for day in (start + timedelta(n) for n in range(span)) if is_session(market, day)]


@cache
def session_times(market: str, day: date) -> tuple[tuple[datetime, datetime], ...]:
    """Begin and end (UTC) of each part of a session day.

    Hong Kong has a lunch break, and no afternoon before feasts.
    """
    told, zone = _told(market, day), ZONES[market]
    parts = [(_at(day, begin, zone), _at(day, stop, zone)) for begin, stop in SESSIONS[market]]
    closes_at = parts[-1][1] if told is None or told.closes_at is None else told.closes_at
    return tuple((begin, min(stop, closes_at)) for begin, stop in parts if begin < closes_at)


@cache
def booking_time(day: date) -> datetime:
    """When expiries and assignments are booked: 16:20 in New York, in UTC."""
    return _at(day, time(16, 20), NEW_YORK)


def settled_on(contract: Contract, day: date) -> date:
    """When a share or option that was traded on a day is paid for."""
    return _settled(contract.market, contract.asset_class, day)


@cache
def exchanged_on(day: date) -> date:
    """When US and Hong Kong dollars that were exchanged on a day change hands: two days later that both banks work."""
    for _ in range(2):
        day += timedelta(1)
        while not all(_settles(market, day) for market in CALENDARS if market in ZONES):
            day += timedelta(1)
    return day


@cache
def _settled(market: str, asset_class: AssetClass, day: date) -> date:
    rule = rule_of(market, asset_class, day)
    assert rule is not None, f"no rule says when {market} {asset_class} settles"
    around = (_told(market, day + timedelta(n)) for n in range(BEFORE.days))
    found = settlement_date(day, rule.days, [told for told in around if told is not None])
    assert found is not None, f"the calendar of {market} ends before {day} settles"
    return found


def _settles(market: str, day: date) -> bool:
    told = _told(market, day)
    return told is None or told.is_settlement_day


def _told(market: str, day: date) -> MarketDay | None:
    return _year(market, day.year).get(day)


@cache
def _year(market: str, year: int) -> Mapping[date, MarketDay]:
    """The days of a year, from the library once; none beyond its limits."""
    days = market_days(CALENDARS[market], date(year, 1, 1), date(year, 12, 31), STORMS)
    return {told.on_date: told for told in days}


def _at(day: date, clock: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, clock, zone).astimezone(UTC)
