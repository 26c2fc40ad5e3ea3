"""No bar is missing: every one that was taken away is named, and none where there need not be one."""

import random
from datetime import UTC, date
from typing import Any

import pytest

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.domain.market import GapReason
from apex_pipeline.domain.models import AssetClass
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.bars import OHLCVRepository
from tests.store.check_rows import compared, findings
from tests.store.market_rows import (
    APPLE,
    BITCOIN,
    FIRST,
    HOUR,
    LAST,
    MINUTE,
    NEW_YORK,
    TENCENT,
    at_clock,
    bar,
    calendars,
    daily_bars,
    gap,
    in_hong_kong,
    moment,
    named,
    opened,
    session_bars,
    write,
)
from tests.store.rows import query

IN_SESSION = CheckName.EVERY_BAR_IS_IN_A_SESSION
NOT_MISSING = CheckName.NO_BAR_IS_MISSING
MONDAY, TUESDAY, SATURDAY = date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 7)
HALF_DAY, SUMMER_TIME = date(2025, 11, 28), (date(2026, 3, 5), date(2026, 3, 11))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("symbol", "calendar"), [(APPLE, "XNYS"), (TENCENT, "XHKG")])
def test_every_removed_bar_is_named_and_no_other(db: Database, symbol: str, calendar: str, seed: int) -> None:
    calendars(db)
    bars = session_bars(symbol, calendar, *SUMMER_TIME)
    removed = sorted(random.Random(seed).sample(bars[1:-1], 6), key=lambda one: one.opened_at)
    write(db, *(one for one in bars if one not in removed))
    found = findings(db, NOT_MISSING, FIRST, LAST)
    assert [name for one in found for name in one.evidence["missing"]] == opened(*(one.opened_at for one in removed))
    assert sum((one.expected or 0) - (one.actual or 0) for one in found) == 6
    for one in found:
        assert one.business_date is not None
        assert findings(db, NOT_MISSING, one.business_date) == [one], "a run of one day tells the same"


def test_missing_bars_of_a_day_are_one_finding(db: Database) -> None:
    """Around the pause, at the opening and at the close."""
    calendars(db)
    lost = [in_hong_kong(TUESDAY, *clock) for clock in ((9, 30), (11, 59), (13, 0), (15, 59))]
    write(db, *(one for one in session_bars(TENCENT, "XHKG", MONDAY, date(2026, 3, 4)) if one.opened_at not in lost))
    (found,) = findings(db, NOT_MISSING, FIRST, LAST)
    assert (found.subject, found.business_date, found.expected, found.actual) == (f"{TENCENT} 1m", TUESDAY, 330, 326)
    assert (found.severity, found.cause, found.evidence["missing"]) == (Severity.ERROR, "MISSING_B", opened(*lost))
    assert found.evidence["rows"] == [
        *(
            f"ohlcv/{TENCENT}/1m/{name}"
            for name in opened(in_hong_kong(TUESDAY, 11, 58), in_hong_kong(TUESDAY, 15, 58))
        ),
        "market_days/XHKG/2026-03-03",
    ]


def test_a_session_without_a_bar_is_a_finding_also_of_half_an_hour_a_day(db: Database) -> None:
    calendars(db)
    bars = session_bars(APPLE, "XNYS", date(2025, 11, 26), date(2025, 12, 1), "30m")
    write(db, *(one for one in bars if one.opened_at.astimezone(NEW_YORK).date() != HALF_DAY))
    (found,) = findings(db, NOT_MISSING, FIRST, LAST)
    assert (found.business_date, found.expected, found.actual) == (HALF_DAY, 7, 0)
    assert found.evidence["rows"] == ["market_days/XNYS/2025-11-28"]


def test_hours_may_be_aligned_to_the_clock_or_to_the_opening(db: Database) -> None:
    calendars(db)
    by_clock = [at_clock(day, 9, 30) for day in (MONDAY, TUESDAY)] + [
        at_clock(day, hour) for day in (MONDAY, TUESDAY) for hour in range(10, 16)
    ]
    before = [at_clock(day, hour) for day in (MONDAY, TUESDAY) for hour in range(9, 16)]
    over_noon = [in_hong_kong(day, *at) for day in (MONDAY, TUESDAY)
                 for at in ((9, 30), (10, 30), (11, 30), (13, 30), (14, 30), (15, 30))]  # fmt: skip
    hours = {APPLE: by_clock, "US.KO": before, TENCENT: over_noon}
    write(db, *(bar(symbol, at, "1h") for symbol, moments in hours.items() for at in moments))
    assert findings(db, IN_SESSION, FIRST, LAST) == findings(db, NOT_MISSING, FIRST, LAST) == []
    query(db.url, "DELETE FROM ohlcv WHERE opened_at IN (%s, %s)", at_clock(TUESDAY, 11), in_hong_kong(TUESDAY, 11, 30))
    found = [(one.subject, one.expected, one.actual) for one in findings(db, NOT_MISSING, FIRST, LAST)]
    assert found == [(f"{TENCENT} 1h", 6, 5), (f"{APPLE} 1h", 7, 6), ("US.KO 1h", 7, 6)]


def test_a_gap_with_a_reason_is_not_missing(db: Database) -> None:
    calendars(db)
    bars = session_bars(APPLE, "XNYS", MONDAY, date(2026, 3, 4))
    begins, ends = at_clock(TUESDAY, 10, 3), at_clock(TUESDAY, 10, 13)
    write(db, *(one for one in bars if not begins <= one.opened_at < ends))
    (found,) = findings(db, NOT_MISSING, TUESDAY)
    assert (found.expected, found.actual) == (390, 380)
    write(db, gap(APPLE, begins, ends - MINUTE, GapReason.HALT))
    (found,) = findings(db, NOT_MISSING, TUESDAY)
    assert (found.expected, found.evidence["missing"]) == (381, opened(ends - MINUTE))
    write(db, gap(APPLE, ends - MINUTE, ends, GapReason.NO_TRADE))
    assert findings(db, NOT_MISSING, TUESDAY) == []
    assert compared(db, NOT_MISSING, TUESDAY) == 1


@pytest.mark.parametrize("dated", [None, UTC, NEW_YORK], ids=["by the opening", "by UTC", "by New York"])
def test_a_missing_daily_bar_is_a_finding_unless_its_day_is_excused(db: Database, dated: Any) -> None:
    calendars(db)
    bars = daily_bars(APPLE, "XNYS", MONDAY, date(2026, 3, 6), dated)
    write(db, *bars[:1], *bars[2:])
    (found,) = findings(db, NOT_MISSING, FIRST, LAST)
    assert (found.subject, found.business_date, found.expected, found.actual) == (f"{APPLE} 1d", TUESDAY, 1, 0)
    write(db, gap(APPLE, bars[0].opened_at, bars[1].opened_at, GapReason.VENDOR, "1d"))
    assert findings(db, NOT_MISSING, FIRST, LAST) == [found], "the day before has one"
    write(db, gap(APPLE, bars[1].opened_at, bars[2].opened_at, GapReason.VENDOR, "1d"))
    assert findings(db, NOT_MISSING, FIRST, LAST) == []


def test_what_belongs_to_no_exchange_trades_around_the_clock(db: Database) -> None:
    begin = moment(date(2026, 3, 6), 5)
    bars = [bar(BITCOIN, begin + n * HOUR, "1h") for n in range(80)]
    write(db, *bars)
    assert findings(db, NOT_MISSING, FIRST, LAST) == []
    assert compared(db, NOT_MISSING, FIRST, LAST) == 4
    query(db.url, "DELETE FROM ohlcv WHERE opened_at = %s", moment(SATURDAY, 3))
    (found,) = findings(db, NOT_MISSING, FIRST, LAST)
    assert (found.business_date, found.expected, found.actual) == (SATURDAY, 24, 23)


def test_nothing_is_expected_outside_of_a_series_or_where_silence_means_nothing(db: Database) -> None:
    """Before the first and after the last bar, of options, and of what has hours of its own."""
    calendars(db)
    option = "US.AAPL 2026-03-20 C 200"
    write(db, named(option, AssetClass.OPTION, APPLE), named("US.ESH6", AssetClass.FUTURE))
    for symbol in (option, "US.ESH6", "FX.USD.HKD"):
        write(db, bar(symbol, at_clock(MONDAY, 10)), bar(symbol, at_clock(TUESDAY, 10)))
    write(db, *(bar(APPLE, at_clock(MONDAY, 12) + n * MINUTE) for n in range(30)))
    write(db, bar(APPLE, at_clock(SATURDAY, 10)), bar(APPLE, at_clock(date(2026, 3, 1), 10)))
    assert findings(db, NOT_MISSING, FIRST, LAST) == []


@pytest.mark.parametrize("seed", range(2))
def test_the_check_and_the_library_miss_the_same_bars(db: Database, seed: int) -> None:
    """One is SQL, the other Python: half days, holidays, pauses, hours by the opening, days, and around the clock."""
    calendars(db)
    rng, first, last = random.Random(seed), date(2025, 11, 24), date(2025, 12, 5)
    series = [
        *((symbol, session_bars(symbol, calendar, first, last, timeframe))
          for symbol, calendar in ((APPLE, "XNYS"), (TENCENT, "XHKG")) for timeframe in ("1m", "30m", "1h")),
        (APPLE, daily_bars(APPLE, "XNYS", first, last, NEW_YORK)),
        (BITCOIN, [bar(BITCOIN, moment(first, 5) + n * HOUR, "1h") for n in range(150)]),
    ]  # fmt: skip
    steps = {"1m": MINUTE, "30m": 30 * MINUTE, "1h": HOUR}
    for symbol, bars in series:
        lost = set(rng.sample(bars[1:-1], max(len(bars) // 20, 1)))
        write(db, *(one for one in bars if one not in lost))
        timeframe = bars[0].timeframe
        gaps = OHLCVRepository(db).get_gaps(symbol, timeframe)
        told = [one.from_at + n * steps.get(timeframe, HOUR) for one in gaps for n in range(one.bars)]
        found = [one for one in findings(db, NOT_MISSING, FIRST, LAST) if one.subject == f"{symbol} {timeframe}"]
        assert sum((one.expected or 0) - (one.actual or 0) for one in found) == len(told) == len(lost)
        by_check = {at for one in found for at in one.evidence["missing"]}
        assert len(by_check) == sum(min(int((one.expected or 0) - (one.actual or 0)), 20) for one in found)
        if timeframe != "1d":  # the check names a day by its hours
            assert by_check <= set(opened(*told))
