"""The library's calendars, its known mistakes, and what the overrides make of them."""

from dataclasses import replace
from datetime import UTC, date, datetime, time

import pytest

from apex_pipeline.domain.calendars import CALENDARS, ZONES, overridden
from apex_pipeline.domain.ledger import CalendarOverride, MarketDay
from apex_pipeline.domain.settlement import settlement_date
from apex_pipeline.reference.exchanges import market_days


def closed(calendar: str, day: date, reason: str) -> CalendarOverride:
    return CalendarOverride(calendar, day, is_session=False, is_settlement_day=False, closes_at=None, reason=reason)


SEEDED = [closed("XHKG", date(2023, 9, 1), "typhoon Saola"), closed("XHKG", date(2023, 9, 8), "black rainstorm")]


def day_of(calendar: str, day: date, *overrides: CalendarOverride) -> MarketDay:
    (told,) = market_days(calendar, day, day, overrides)
    return told


@pytest.mark.parametrize("override", SEEDED, ids=lambda override: override.reason)
def test_the_library_still_opens_hong_kong_on_two_stormy_days_and_the_override_closes_it(
    override: CalendarOverride,
) -> None:
    """The first half fails when the library has learnt of it: then the override can go."""
    assert day_of("XHKG", override.on_date).is_session
    told = day_of("XHKG", override.on_date, override)
    assert (told.is_session, told.is_settlement_day, told.opens_at, told.closes_at) == (False, False, None, None)


@pytest.mark.parametrize("day", [date(2024, 9, 6), date(2020, 10, 13)])
def test_hong_kong_was_closed_by_typhoons(day: date) -> None:
    assert not day_of("XHKG", day).is_session


@pytest.mark.parametrize("day", [date(2024, 2, 9), date(2024, 12, 24), date(2026, 2, 16), date(2026, 12, 24)])
def test_hong_kong_closes_at_noon_before_a_feast(day: date) -> None:
    assert day_of("XHKG", day).closes_at == datetime(day.year, day.month, day.day, 4, tzinfo=UTC)


@pytest.mark.parametrize("day", [date(2025, 1, 9), date(2026, 7, 3)])
def test_new_york_was_closed(day: date) -> None:
    assert not day_of("XNYS", day).is_session


@pytest.mark.parametrize("day", [date(2025, 7, 3), date(2025, 11, 28), date(2026, 11, 27), date(2026, 12, 24)])
def test_new_york_closes_at_one(day: date) -> None:
    hour = 17 if day.month == 7 else 18
    assert day_of("XNYS", day).closes_at == datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


@pytest.mark.parametrize("day", [date(2025, 10, 13), date(2025, 11, 11), date(2018, 11, 12)])
def test_new_york_trades_on_bank_holidays_and_settles_nothing(day: date) -> None:
    told = day_of("XNYS", day)
    assert told.is_session
    assert not told.is_settlement_day


def test_friday_before_columbus_day_settles_on_tuesday() -> None:
    days = market_days("XNYS", date(2025, 10, 1), date(2025, 10, 31))
    assert settlement_date(date(2025, 10, 10), 1, days) == date(2025, 10, 14)
    assert settlement_date(date(2025, 10, 13), 1, days) == date(2025, 10, 14)


def test_thursday_before_a_closed_friday_settles_on_monday_in_hong_kong() -> None:
    days = market_days("XHKG", date(2023, 8, 20), date(2023, 9, 20), SEEDED)
    assert settlement_date(date(2023, 8, 31), 1, days) == date(2023, 9, 4)
    assert settlement_date(date(2023, 8, 30), 2, days) == date(2023, 9, 4)


def test_an_override_can_shorten_a_day_and_open_a_holiday() -> None:
    early = replace(
        closed("XNYS", date(2025, 7, 7), "a test"), is_session=True, is_settlement_day=True, closes_at=time(13)
    )
    assert day_of("XNYS", date(2025, 7, 7), early).closes_at == datetime(2025, 7, 7, 17, tzinfo=UTC)
    opened = replace(closed("XNYS", date(2025, 7, 4), "opened by a person"), is_session=True)
    told = day_of("XNYS", date(2025, 7, 4), opened)
    assert (told.is_session, told.is_settlement_day, told.opens_at, told.closes_at) == (True, False, None, None)


def test_an_override_touches_its_own_calendar_only() -> None:
    rain = closed("XHKG", date(2025, 7, 7), "rain")
    assert day_of("XNYS", date(2025, 7, 7), rain).is_session
    assert not overridden(day_of("XHKG", date(2025, 7, 7)), rain).is_session


def test_every_day_is_told_once_weekends_included() -> None:
    days = market_days("XNYS", date(1998, 1, 1), date(2031, 12, 31))
    assert [day.on_date for day in days] == sorted({day.on_date for day in days})
    assert len(days) == (date(2031, 12, 31) - date(1998, 1, 1)).days + 1
    assert not any(day.is_session for day in days if day.on_date.weekday() > 4)


def test_a_limit_of_the_library_ends_the_days_and_raises_nothing() -> None:
    assert market_days("XHKG", date(2049, 12, 30), date(2050, 1, 5))[-1].on_date == date(2049, 12, 31)
    assert market_days("XHKG", date(2050, 1, 1), date(2050, 1, 5)) == []


@pytest.mark.parametrize("calendar", sorted(set(CALENDARS.values())))
def test_the_library_knows_every_calendar_and_its_zone(calendar: str) -> None:
    import exchange_calendars

    assert str(exchange_calendars.get_calendar(calendar).tz) == ZONES[calendar]
