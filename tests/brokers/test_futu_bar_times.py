"""When a K-line begins, from when Futu says that it ends."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from apex_pipeline.brokers.futu import market_time
from apex_pipeline.brokers.futu.bar_times import begins_at, midnight
from apex_pipeline.reference.exchanges import market_days

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
CALENDARS = {"US": "XNYS", "HK": "XHKG", "SH": "XSHG", "SG": "XSES", "JP": "XTKS", "MY": "XKLS"}


def begins(prefix: str, ended: str, length: timedelta) -> str | None:
    """Wall clock to wall clock, in the zone of the market."""
    zone = market_time.zone_of(prefix)
    told = begins_at(datetime.fromisoformat(ended).replace(tzinfo=zone).astimezone(UTC), length, prefix)
    return told and f"{told.astimezone(zone):%H:%M}"


@pytest.mark.parametrize(
    ("prefix", "labels", "expected"),
    [
        ("US", "10:30 11:30 12:30 13:30 14:30 15:30 16:00", "09:30 10:30 11:30 12:30 13:30 14:30 15:30"),
        ("HK", "10:30 11:30 12:00 14:00 15:00 16:00", "09:30 10:30 11:30 13:00 14:00 15:00"),
        ("SH", "10:30 11:30 14:00 15:00", "09:30 10:30 13:00 14:00"),
        ("JP", "10:00 11:00 11:30 13:30 14:30 15:30", "09:00 10:00 11:00 12:30 13:30 14:30"),
    ],
)
def test_hours_begin_where_they_are_cut_from_the_opening_of_their_part(prefix: str, labels: str, expected: str) -> None:
    told = [begins(prefix, f"2026-11-18 {label}", HOUR) for label in labels.split()]
    assert told == expected.split()
    blindly = [f"{datetime.fromisoformat(f'2026-11-18 {label}') - HOUR:%H:%M}" for label in labels.split()]
    assert prefix == "SH" or blindly != expected.split()


def test_the_last_hour_of_a_half_day_is_as_short_as_it_was() -> None:
    assert begins("US", "2026-11-27 13:00", HOUR) == "12:30"
    assert begins("HK", "2026-12-24 12:00", HOUR) == "11:30"


@pytest.mark.parametrize("minutes", [1, 5, 15, 30])
def test_shorter_bars_begin_one_length_before_they_end(minutes: int) -> None:
    length = timedelta(minutes=minutes)
    for prefix, first in (("US", "2026-11-18 09:30"), ("HK", "2026-11-18 09:30"), ("HK", "2026-11-18 13:00")):
        ended = datetime.fromisoformat(first) + length
        assert begins(prefix, str(ended), length) == first[-5:]
        assert begins(prefix, str(ended + length), length) == f"{ended:%H:%M}"


def test_what_ends_as_a_part_opens_or_before_is_of_no_regular_hours() -> None:
    assert begins("US", "2026-11-18 09:30", MINUTE) is None
    assert begins("HK", "2026-11-18 13:00", HOUR) is None
    assert begins("US", "2026-11-18 08:00", HOUR) is None
    assert begins("US", "2026-11-18 13:00", HOUR) == "12:30"


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2026-03-06", "14:30"), ("2026-03-09", "13:30"), ("2026-10-30", "13:30"), ("2026-11-02", "14:30")],
)
def test_the_first_minute_in_new_york_moves_with_the_clocks(day: str, expected: str) -> None:
    ended = datetime.fromisoformat(f"{day} 09:31").replace(tzinfo=ZoneInfo("America/New_York")).astimezone(UTC)
    told = begins_at(ended, MINUTE, "US")
    assert told is not None
    assert (f"{told:%H:%M}", told.tzinfo) == (expected, UTC)


def test_a_day_begins_at_midnight_of_its_market() -> None:
    assert midnight(date(2026, 3, 6), "US") == datetime(2026, 3, 6, 5, tzinfo=UTC)
    assert midnight(date(2026, 3, 9), "US") == datetime(2026, 3, 9, 4, tzinfo=UTC)
    assert midnight(date(2026, 3, 9), "HK") == datetime(2026, 3, 8, 16, tzinfo=UTC)


@pytest.mark.parametrize("prefix", sorted(CALENDARS))
def test_sessions_open_where_the_calendars_of_their_exchanges_say_so(prefix: str) -> None:
    days = market_days(CALENDARS[prefix], date(2026, 1, 1), date(2026, 6, 30))
    opened = [day.opens_at for day in days if day.opens_at is not None]
    assert opened
    assert {begins_at(at + MINUTE, MINUTE, prefix) == at for at in opened} == {True}
    assert {begins_at(at, MINUTE, prefix) for at in opened} == {None}
