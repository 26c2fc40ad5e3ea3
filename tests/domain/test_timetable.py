"""Which tick loads which session: on half days, holidays and days that people changed, whatever the clocks do."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from apex_pipeline.domain.calendars import CALENDARS, ZONES
from apex_pipeline.domain.ledger import CalendarOverride
from apex_pipeline.domain.timetable import (
    CLOSINGS,
    PAUSES,
    Due,
    MarketCalendar,
    NotDue,
    Told,
    after_close,
    any_session,
    during_sessions,
    missing_sessions,
    statement,
    ticks_of,
)
from apex_pipeline.reference.exchanges import holiday_names, market_days

FIRST, LAST = date(2023, 6, 1), date(2026, 12, 31)
DAY = timedelta(days=1)
NEW_YORK, HONG_KONG = ZoneInfo("America/New_York"), ZoneInfo("Asia/Hong_Kong")


def market(name: str, *overrides: CalendarOverride) -> MarketCalendar:
    calendar = CALENDARS[name]
    days = {day.on_date: day for day in market_days(calendar, FIRST - 20 * DAY, LAST, overrides)}
    said = {one.on_date: one.reason for one in overrides}
    return MarketCalendar(name, days, {**holiday_names(calendar, FIRST, LAST), **said})


def closed(calendar: str, day: date, reason: str) -> CalendarOverride:
    return CalendarOverride(calendar, day, is_session=False, is_settlement_day=False, closes_at=None, reason=reason)


def short(calendar: str, day: date, closes_at: time, reason: str) -> CalendarOverride:
    return CalendarOverride(calendar, day, is_session=True, is_settlement_day=True, closes_at=closes_at, reason=reason)


def ticks(calendar: str, zone: ZoneInfo | None = None) -> Iterator[datetime]:
    """Every tick of a market's schedule, as cron makes them in its zone."""
    for number in range((LAST - FIRST).days + 1):
        for clock in ticks_of(calendar):
            yield datetime.combine(FIRST + number * DAY, clock, zone or ZoneInfo(ZONES[calendar])).astimezone(UTC)


def loaded(of: MarketCalendar, zone: ZoneInfo | None = None) -> dict[date, datetime]:
    """The tick that loads each session; fails if one is loaded twice."""
    found: dict[date, datetime] = {}
    for at in ticks(of.name, zone):
        if isinstance(due := after_close(of, at), Due):
            assert due.session not in found, f"{due.session} is loaded twice"
            found[due.session] = at
    return found


def sessions(of: MarketCalendar) -> list[date]:
    return [day for day, known in of.days.items() if known.is_session and FIRST <= day < LAST]


@pytest.mark.parametrize("name", CALENDARS)
def test_every_session_of_every_calendar_is_loaded_once_within_two_hours_of_its_close(name: str) -> None:
    of = market(name)
    found = loaded(of)
    assert [day for day in found if day < LAST] == sessions(of)
    waits = [at - of.closes_at(day) for day, at in found.items()]
    assert min(waits) >= timedelta(minutes=15)
    assert max(waits) <= timedelta(hours=2)


def test_control_a_schedule_in_a_zone_without_summer_time_misses_sessions() -> None:
    of = market("US")
    missed = set(sessions(of)) - loaded(of, ZoneInfo("Etc/GMT+4")).keys()
    assert len(missed) > 200
    assert {day.month for day in missed} >= {1, 2, 11, 12}


@pytest.mark.parametrize(
    ("day", "at"),
    [
        (date(2026, 3, 6), "2026-03-06T21:30"),
        (date(2026, 3, 9), "2026-03-09T20:30"),  # clocks went forward on the 8th
        (date(2026, 10, 30), "2026-10-30T20:30"),
        (date(2026, 11, 2), "2026-11-02T21:30"),  # and back on the 1st
        (date(2026, 11, 27), "2026-11-27T18:30"),  # a half day: one o'clock in New York
    ],
)
def test_the_load_follows_the_clock_of_new_york(day: date, at: str) -> None:
    assert f"{loaded(market('US'))[day]:%Y-%m-%dT%H:%M}" == at


@pytest.mark.parametrize(
    ("day", "at"),
    [
        (date(2026, 3, 27), "2026-03-27T17:00"),
        (date(2026, 3, 30), "2026-03-30T16:00"),  # Europe changed on the 29th
        (date(2026, 10, 23), "2026-10-23T16:00"),
        (date(2026, 10, 26), "2026-10-26T17:00"),
        (date(2026, 12, 24), "2026-12-24T13:00"),
    ],
)
def test_the_load_follows_the_clock_of_london(day: date, at: str) -> None:
    assert f"{loaded(market('UK'))[day]:%Y-%m-%dT%H:%M}" == at


def test_days_of_typhoons_are_not_loaded_and_say_why() -> None:
    typhoons = {date(2023, 9, 1): "typhoon Saola", date(2023, 9, 8): "black rain"}
    plain = market("HK")
    of = market("HK", *(closed("XHKG", day, why) for day, why in typhoons.items()))
    assert loaded(plain).keys() - loaded(of).keys() == typhoons.keys(), "control: the library takes them for sessions"
    for day, why in typhoons.items():
        told = after_close(of, datetime.combine(day, time(16, 30), HONG_KONG))
        assert told == NotDue(f"XHKG is closed on {day} ({why})")
    monday = after_close(of, datetime(2023, 9, 11, 16, 30, tzinfo=HONG_KONG))
    assert monday == Due(date(2023, 9, 11), date(2023, 9, 8)), "the days between are loaded with it"


@pytest.mark.parametrize(
    ("closing", "tick"), [(time(11, 40), time(12, 30)), (time(12, 20), time(16, 30)), (time(14), time(16, 30))]
)
def test_a_session_that_a_person_shortened_is_loaded_by_the_first_tick_after_its_end(closing: time, tick: time) -> None:
    day = date(2026, 7, 15)
    of = market("HK", short("XHKG", day, closing, "signal 8 at noon"))
    assert loaded(of)[day] == datetime.combine(day, tick, HONG_KONG)


def test_a_session_that_ends_after_the_last_tick_is_loaded_by_the_next_one_even_on_a_saturday() -> None:
    friday = date(2026, 7, 17)
    of = market("HK", short("XHKG", friday, time(16, 45), "trading was resumed late"))
    assert loaded(of)[friday] == datetime.combine(friday + DAY, time(12, 30), HONG_KONG)


def test_a_holiday_that_a_person_made_a_session_is_loaded_at_the_usual_time() -> None:
    saturday = date(2026, 7, 18)
    override = replace(short("XHKG", saturday, time(12), "made up for a typhoon"), closes_at=None)
    assert loaded(market("HK", override))[saturday] == datetime.combine(saturday, time(16, 30), HONG_KONG)


def test_days_that_nobody_knows_are_sessions_on_weekdays() -> None:
    unknown = MarketCalendar("SG", {})
    assert loaded(unknown).keys() == {
        FIRST + n * DAY for n in range((LAST - FIRST).days + 1) if (FIRST + n * DAY).weekday() < 5
    }


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ("2026-03-07T16:30", "XNYS is closed on 2026-03-07 (Saturday)"),
        ("2026-04-03T16:30", "XNYS is closed on 2026-04-03 (Good Friday)"),
        ("2026-03-09T13:30", "XNYS trades until 16:00 on 2026-03-09: its load comes after that"),
        ("2026-11-27T16:30", "XNYS closed at 13:00 on 2026-11-27: its load was due at an earlier tick"),
    ],
)
def test_a_tick_that_is_for_nothing_says_why(at: str, reason: str) -> None:
    instant = datetime.fromisoformat(at).replace(tzinfo=NEW_YORK)
    assert after_close(market("US"), instant) == NotDue(reason)


def test_closings_and_pauses_are_those_of_the_library() -> None:
    for name, calendar in CALENDARS.items():
        of = market(name)
        told = Counter(of.closes_at(day).astimezone(of.zone).time() for day in sessions(of) if day.year >= 2025)
        assert told.most_common(1)[0][0] == CLOSINGS[calendar][-1], calendar
        assert set(told) <= {*CLOSINGS[calendar]}, calendar
    assert PAUSES.keys() < ZONES.keys()


def mornings(markets: list[MarketCalendar], first: date, last: date) -> dict[date, date]:
    """The first day to load by the session whose statement is loaded."""
    found: dict[date, date] = {}
    for number in range((last - first).days + 1):
        at = datetime.combine(first + number * DAY, time(6, 30), NEW_YORK).astimezone(UTC)
        if isinstance(due := statement(markets, at), Due):
            found[due.session] = due.first
    return found


def test_the_statement_of_every_session_is_asked_for_the_next_morning_also_on_saturday() -> None:
    us = market("US")
    found = mornings([us], FIRST + DAY, LAST)
    assert list(found) == sessions(us)
    for before, after in pairwise(found):
        assert found[after] == before + DAY, "no day between two statements is left out"


def test_statements_come_also_when_only_hong_kong_traded() -> None:
    independence_day = date(2026, 7, 3)
    assert independence_day not in mornings([market("US")], independence_day, independence_day + 3 * DAY)
    assert independence_day in mornings([market("US"), market("HK")], independence_day, independence_day + 3 * DAY)
    told = statement([market("US")], datetime(2026, 7, 4, 10, 30, tzinfo=UTC))
    assert told == NotDue("there is no statement of 2026-07-03: XNYS is closed on 2026-07-03 (July 4th)")


def quarters(markets: list[MarketCalendar], day: date, zone: ZoneInfo) -> list[str]:
    """The clock times of a day at which a look at today is due."""
    start = datetime.combine(day, time(), zone)
    instants = [start.astimezone(UTC) + n * timedelta(minutes=15) for n in range(96)]
    return [f"{at.astimezone(zone):%H:%M}" for at in instants if isinstance(during_sessions(markets, at), Due)]


def spans(times: list[str]) -> list[str]:
    """Neighbouring quarters as `first-last`."""
    found: list[list[str]] = []
    for one in times:
        minutes = int(one[:2]) * 60 + int(one[3:])
        last = found[-1][-1] if found else None
        if last and int(last[:2]) * 60 + int(last[3:]) == minutes - 15:
            found[-1].append(one)
        else:
            found.append([one])
    return [f"{part[0]}-{part[-1]}" for part in found]


@pytest.mark.parametrize(
    ("name", "day", "overrides", "expected"),
    [
        ("US", date(2026, 3, 6), (), ["09:45-16:00"]),
        ("US", date(2026, 3, 9), (), ["09:45-16:00"]),
        ("US", date(2026, 11, 27), (), ["09:45-13:00"]),
        ("US", date(2026, 3, 8), (), []),
        ("HK", date(2026, 3, 9), (), ["09:45-12:00", "13:15-16:00"]),
        ("HK", date(2026, 12, 24), (), ["09:45-12:00"]),
        ("HK", date(2026, 7, 15), (closed("XHKG", date(2026, 7, 15), "typhoon"),), []),
        ("HK", date(2026, 7, 15), (short("XHKG", date(2026, 7, 15), time(14), "typhoon"),),
         ["09:45-12:00", "13:15-14:00"]),
        ("FR", date(2026, 12, 24), (), ["09:15-14:15"]),
    ],
)  # fmt: skip
def test_a_look_at_today_is_due_while_a_market_trades(
    name: str, day: date, overrides: tuple[CalendarOverride, ...], expected: list[str]
) -> None:
    of = market(name, *overrides)
    assert spans(quarters([of], day, of.zone)) == expected


def test_a_look_at_today_names_the_dates_of_all_sessions_that_go_on() -> None:
    both = [market("HK"), market("US")]
    assert during_sessions(both, datetime(2026, 3, 9, 15, tzinfo=UTC)) == Due(date(2026, 3, 9), date(2026, 3, 9))
    told = during_sessions(both, datetime(2026, 3, 9, 4, 30, tzinfo=UTC))
    assert told == NotDue(
        "XHKG trades 09:30-12:00 and 13:00-16:00 on 2026-03-09, and it is 12:30 there; "
        "XNYS trades 09:30-16:00 on 2026-03-09, and it is 00:30 there"
    )


def test_a_day_counts_for_captures_if_any_market_trades_on_it() -> None:
    both = [market("HK"), market("US")]
    assert any_session(both, datetime(2026, 7, 3, 3, tzinfo=UTC)) is None  # Hong Kong trades, New York has a holiday
    assert any_session(both, datetime(2026, 3, 7, 3, tzinfo=UTC)) is None, "it is still Friday in New York"
    assert any_session(both, datetime(2026, 3, 7, 13, tzinfo=UTC)) == NotDue(
        "XHKG is closed on 2026-03-07 (Saturday), XNYS is closed on 2026-03-07 (Saturday)"
    )


def told_until(last: date, told_at: datetime, account: str = "F1", name: str = "ALL") -> list[Told]:
    first = date(2026, 3, 2)
    days = [first + n * DAY for n in range((last - first).days + 1)]
    return [Told(account, kind, name, day, told_at) for kind in ("orders", "deals") for day in days]


def missing(told: list[Told], at: str, *names: str, by_statement: bool = False) -> list[date]:
    markets = [market(name) for name in names or ("HK", "US")]
    return missing_sessions(markets, told, datetime.fromisoformat(at).replace(tzinfo=UTC), by_statement=by_statement)


def test_a_session_that_was_told_before_its_end_is_missing_once_its_load_is_late() -> None:
    told = told_until(date(2026, 3, 4), datetime(2026, 3, 4, 8, 40, tzinfo=UTC))  # after Hong Kong, before New York
    assert missing(told, "2026-03-04T12:00", "HK", "US") == []
    assert missing(told, "2026-03-04T23:00") == [], "its load may still come"
    assert missing(told, "2026-03-04T23:45") == [date(2026, 3, 4)]
    assert missing(told, "2026-03-04T23:45", "HK") == []


def test_every_account_must_have_been_told() -> None:
    late = datetime(2026, 3, 5, 23, tzinfo=UTC)
    told = [*told_until(date(2026, 3, 5), late), *told_until(date(2026, 3, 3), late, "F2")]
    assert missing(told, "2026-03-06T00:45") == [date(2026, 3, 4), date(2026, 3, 5)]


def test_an_account_that_came_in_a_file_or_was_closed_is_not_waited_for() -> None:
    late = datetime(2026, 3, 25, 23, tzinfo=UTC)
    told = [*told_until(date(2026, 3, 24), late), *told_until(date(2026, 3, 6), late, "closed")]
    assert missing(told, "2026-03-25T03:00") == []
    assert missing([*told, *told_until(date(2026, 3, 20), late, "F2")], "2026-03-25T03:00")[0] == date(2026, 3, 23)


def test_a_load_of_another_market_does_not_count() -> None:
    late = datetime(2026, 3, 3, 23, tzinfo=UTC)
    told = [*told_until(date(2026, 3, 2), late), *told_until(date(2026, 3, 3), late, name="HK")]
    assert missing(told, "2026-03-04T03:00", "HK") == []
    assert missing(told, "2026-03-04T03:00", "US") == [date(2026, 3, 3)]


def test_a_statement_is_missing_two_hours_after_its_morning() -> None:
    told = told_until(date(2026, 3, 3), datetime(2026, 3, 4, 12, tzinfo=UTC))
    assert missing(told, "2026-03-05T13:00", "US", by_statement=True) == []
    assert missing(told, "2026-03-05T13:30", "US", by_statement=True) == [date(2026, 3, 4)]
