"""Bars in the store: written in bulk, read by time, and every one that is missing found with its reason."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apex_pipeline.brokers.scenario_days import STORMS
from apex_pipeline.domain.bar_gaps import FoundGap
from apex_pipeline.domain.market import Adjustment, Bar, BarSession, GapReason
from apex_pipeline.domain.models import AssetClass
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.bars import ExchangeRepository, OHLCVRepository
from tests.store.market_rows import (
    APPLE,
    BITCOIN,
    HOUR,
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
    session_bars,
    write,
)
from tests.store.rows import query, value

MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)
CALENDAR = {APPLE: "XNYS", TENCENT: "XHKG"}
CLOSED = {storm.on_date for storm in STORMS}
ROW: dict[str, Any] = {
    "symbol": APPLE, "timeframe": "1m", "opened_at": moment(MONDAY, 15), "open": "10", "high": 11, "low": 9.1,
    "close": Decimal("10.05"), "volume": 1200, "exchange": "US",
}  # fmt: skip


@pytest.fixture
def bars(db: Database) -> OHLCVRepository:
    return OHLCVRepository(db)


@cache
def year(symbol: str, of: int, timeframe: str = "1m") -> tuple[Bar, ...]:
    """Every bar of a year; the storms that the library does not know are left out."""
    told = session_bars(symbol, CALENDAR[symbol], date(of, 1, 1), date(of, 12, 31), timeframe)
    return tuple(one for one in told if symbol != TENCENT or one.opened_at.date() not in CLOSED)


def instants(gaps: Iterable[FoundGap], step: timedelta = MINUTE) -> list[datetime]:
    """When the bars of these gaps begin."""
    return [one.from_at + n * step for one in gaps for n in range(-((one.from_at - one.to_at) // step))]


# Written and read ---------------------------------------------------------------------------------------------


def test_bars_that_are_there_stay_and_new_ones_are_counted(bars: OHLCVRepository) -> None:
    told = [bar(APPLE, at_clock(MONDAY, 10, n)) for n in range(5)]
    assert bars.insert_many(told[:3]) == 3
    assert bars.insert_many([replace(one, close=Decimal(9)) for one in told]) == 2
    assert [one.close for one in bars.get_range(APPLE, "1m")] == [10, 10, 10, 9, 9]


def test_of_one_bar_that_is_told_twice_at_once_the_first_is_added(bars: OHLCVRepository) -> None:
    one = bar(APPLE, at_clock(MONDAY, 10))
    assert bars.insert_many([one, replace(one, close=Decimal(9)), bar(APPLE, at_clock(MONDAY, 11))]) == 2
    assert [found.close for found in bars.get_range(APPLE, "1m")] == [10, 10]


def test_an_upsert_writes_what_differs_and_nothing_else(bars: OHLCVRepository) -> None:
    told = [bar(APPLE, at_clock(MONDAY, 10, n)) for n in range(5)]
    assert bars.upsert_many(told).inserted == 5
    assert bars.upsert_many(told).changed == 0
    changed = bars.upsert_many([*told[1:], replace(told[0], close=Decimal(9)), replace(told[0], close=Decimal("9.5"))])
    assert (changed.inserted, changed.updated) == (0, 1)
    assert bars.get_range(APPLE, "1m")[0].close == Decimal("9.5"), "of one bar the last counts"


def test_rows_by_column_name_are_bars_and_floats_are_the_decimals_they_print_as(bars: OHLCVRepository) -> None:
    assert bars.insert_many([ROW, {**ROW, "symbol": TENCENT, "exchange": None, "volume": float("nan")}]) == 2
    (stored,) = bars.get_range(APPLE, "1m")
    assert (stored.open, stored.high, stored.low, stored.close) == (10, 11, Decimal("9.1"), Decimal("10.05"))
    assert (stored.session, stored.adjustment, stored.source) == (BarSession.REGULAR, Adjustment.NONE, "ENGINE")
    assert bars.get_latest(TENCENT, "1m", 1)[0].volume is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"open": float("nan")}, "needs open"),
        ({"open": float("inf")}, "open of a bar is a number"),
        ({"open": "ten"}, "open of a bar is a number"),
        ({"open": True}, "open of a bar is a number"),
        ({"opened_at": datetime(2026, 3, 2, 15)}, "with its zone"),  # noqa: DTZ001 - that is the point
        ({"opened_at": "yesterday"}, "is an instant"),
        ({"symbol": ""}, "symbol of a bar is a text"),
        ({"session": "NIGHT"}, "none of REGULAR, EXTENDED"),
        ({"clsoe": 1}, "the nearest is 'close'"),
    ],
)
def test_a_row_that_is_no_bar_is_refused_in_words_and_nothing_is_written(
    bars: OHLCVRepository, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        bars.insert_many([ROW, {**ROW, **change}])
    with pytest.raises(ValueError, match="a bar is a Bar or a mapping"):
        bars.upsert_many([("a", "tuple")])  # pyright: ignore[reportArgumentType] - callers are not typed
    assert bars.count() == 0
    assert bars.insert_many([ROW]) == 1


def test_a_data_frame_is_taken_as_it_is(bars: OHLCVRepository) -> None:
    import pandas as pd

    frame = pd.DataFrame([{**ROW, "opened_at": moment(MONDAY, 15, n), "volume": n or None} for n in range(3)])
    assert bars.upsert_many(frame).inserted == 3  # pyright: ignore[reportArgumentType] - anything with records
    assert [one.volume for one in bars.get_range(APPLE, "1m")] == [None, 1, 2]


def test_numbers_of_numpy_and_nothing_of_pandas_are_what_they_print_as(bars: OHLCVRepository) -> None:
    import numpy as np
    import pandas as pd

    prices = {name: np.float32("1.1") for name in ("open", "high", "low", "close")}
    rows = [{**ROW, **prices, "opened_at": moment(MONDAY, 15 + n), "volume": (7, pd.NA)[n]} for n in range(2)]
    assert bars.insert_many(rows) == 2
    assert [(one.open, one.low, one.volume) for one in bars.get_range(APPLE, "1m")] == [
        (Decimal("1.1"), Decimal("1.1"), 7), (Decimal("1.1"), Decimal("1.1"), None)
    ]  # fmt: skip
    half = {**ROW, "opened_at": moment(MONDAY, 18), "volume": Fraction(1, 2)}
    bars.insert_many([half])
    assert bars.get_latest(APPLE, "1m", 1)[0].volume == Decimal("0.5")
    with pytest.raises(ValueError, match="needs opened_at"):
        bars.insert_many([{**ROW, "opened_at": pd.NaT}])


def test_a_range_begins_with_its_start_and_ends_before_its_end(bars: OHLCVRepository) -> None:
    bars.insert_many(bar(APPLE, at_clock(MONDAY, 10, n)) for n in range(10))
    found = bars.get_range(APPLE, "1m", at_clock(MONDAY, 10, 2), at_clock(MONDAY, 10, 5))
    assert [one.opened_at for one in found] == [at_clock(MONDAY, 10, n) for n in (2, 3, 4)]
    assert len(bars.get_range(APPLE, "1m", MONDAY, TUESDAY)) == 10
    assert bars.get_range(APPLE, "5m") == bars.get_range(TENCENT, "1m") == []
    with pytest.raises(ValueError, match="no zone"):
        bars.get_range(APPLE, "1m", datetime(2026, 3, 2))  # noqa: DTZ001


def test_the_latest_bars_come_newest_first(bars: OHLCVRepository) -> None:
    bars.insert_many(bar(APPLE, at_clock(MONDAY, 10, n)) for n in range(10))
    assert [one.opened_at.minute for one in bars.get_latest(APPLE, "1m", 3)] == [9, 8, 7]
    assert len(bars.get_latest(APPLE, "1m")) == 10


def test_a_range_may_be_of_prices_as_traded_only(bars: OHLCVRepository) -> None:
    told = [bar(APPLE, at_clock(MONDAY, 10, n)) for n in range(2)]
    bars.insert_many([told[0], replace(told[1], adjustment=Adjustment.SPLITS)])
    assert bars.get_range(APPLE, "1m", adjustment="NONE") == [told[0]]


def test_old_bars_are_removed_in_parts_with_their_gaps(
    bars: OHLCVRepository, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apex_pipeline.store.repositories.bars.ROWS_AT_ONCE", 4)
    now = datetime.now(UTC).replace(microsecond=0)
    for timeframe in ("1m", "1d"):
        bars.insert_many(bar(APPLE, now - timedelta(days=n), timeframe) for n in range(1, 21))
        write(db, gap(APPLE, now - timedelta(days=15), now - timedelta(days=14), GapReason.HALT, timeframe))
    assert bars.cleanup_old(10.5, "1m") == 10
    assert (bars.count(timeframe="1m"), bars.count(timeframe="1d")) == (10, 20)
    assert query(db.url, "SELECT timeframe FROM ohlcv_gaps") == [("1d",)]
    assert bars.cleanup_old(5.5) == 20
    assert bars.cleanup_old(5.5) == 0
    with pytest.raises(ValueError, match="cannot be kept"):
        bars.cleanup_old(-1)
    assert bars.count() == 10


def test_exchanges_are_found_by_the_prefix_of_their_symbols(db: Database) -> None:
    found = ExchangeRepository(db).find_by_id("HK")
    assert found is not None
    assert (found.timezone, found.calendar, found.break_begins) == ("Asia/Hong_Kong", "XHKG", time(12))


# What is missing ----------------------------------------------------------------------------------------------


def every_97th(told: Sequence[Bar]) -> list[Bar]:
    return list(told[::97])


def at_random(told: Sequence[Bar]) -> list[Bar]:
    return random.Random(7).sample(told, 500)


def first_and_last_of_sessions(told: Sequence[Bar]) -> list[Bar]:
    days = [one.opened_at.date() for one in told]
    edges = [n for n in range(1, len(told) - 1) if days[n] != days[n - 1] or days[n] != days[n + 1]]
    return [told[n] for n in edges]


def whole_sessions(told: Sequence[Bar]) -> list[Bar]:
    days = sorted({one.opened_at.date() for one in told})[1:-1:11]
    return [one for one in told if one.opened_at.date() in days]


def around_noon(told: Sequence[Bar]) -> list[Bar]:
    """The last ones before noon and the first ones after one, in UTC by Hong Kong's clock."""
    return [one for one in told if (one.opened_at.hour, one.opened_at.minute) in ((3, 58), (3, 59), (5, 0), (17, 59))]


@pytest.mark.parametrize("remove", [every_97th, at_random, first_and_last_of_sessions, whole_sessions, around_noon])
@pytest.mark.parametrize(("symbol", "of"), [(APPLE, 2024), (TENCENT, 2023)])
def test_every_removed_bar_of_a_year_of_minutes_is_found_and_no_other(
    bars: OHLCVRepository, symbol: str, of: int, remove: Callable[[Sequence[Bar]], list[Bar]]
) -> None:
    """Leap day, half days, two typhoons, clocks put forward and back, pauses at midday; the table of days is empty."""
    told = year(symbol, of)
    removed = {one.opened_at for one in remove(told)}
    put(bars, [one for one in told if one.opened_at not in removed])
    found = bars.get_gaps(symbol, "1m")
    assert removed
    assert sorted(instants(found)) == sorted(removed)
    assert sum(one.bars for one in found) == len(removed)
    assert {(one.reason, one.is_explained) for one in found} == {(GapReason.VENDOR, False)}


def put(bars: OHLCVRepository, told: Sequence[Bar]) -> None:
    """Write a year of one series quickly: only what distinguishes its bars."""
    text = (
        "INSERT INTO ohlcv (symbol, timeframe, opened_at, open, high, low, close, source) "
        "SELECT %s, %s, to_timestamp(at), 10, 11, 9, 10, 'VENDOR' FROM unnest(%s::bigint[]) AS at"
    )
    seconds = [int(one.opened_at.timestamp()) for one in told]
    query(bars._db.url, text, told[0].symbol, told[0].timeframe, seconds)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(("symbol", "of"), [(APPLE, 2024), (TENCENT, 2023)])
def test_a_whole_year_has_no_gap_also_where_the_table_of_days_knows_a_part_of_it(
    db: Database, bars: OHLCVRepository, symbol: str, of: int
) -> None:
    put(bars, year(symbol, of))
    assert bars.get_gaps(symbol, "1m") == []
    query(
        db.url,
        "INSERT INTO market_days SELECT %s, day::date, true, true, day + interval '1 hour', day + interval '9 hours' "
        "FROM generate_series(%s::date, %s::date, interval '1 day') AS day",
        CALENDAR[symbol], date(of, 9, 1), date(of, 9, 1),
    )  # fmt: skip
    stormy = symbol == TENCENT
    assert bool(bars.get_gaps(symbol, "1m")) != stormy, "what people said holds, and so does the table"


def test_a_storm_that_nobody_wrote_down_is_a_gap(db: Database, bars: OHLCVRepository) -> None:
    """The control of the typhoons: without the overrides the library has Hong Kong open."""
    query(db.url, "DELETE FROM calendar_overrides")
    put(bars, year(TENCENT, 2023))
    assert {one.from_at.date() for one in bars.get_gaps(TENCENT, "1m")} == CLOSED


@pytest.mark.parametrize("timeframe", ["1h", "30m"])
@pytest.mark.parametrize(("symbol", "of"), [(APPLE, 2024), (TENCENT, 2023)])
def test_longer_bars_are_found_too_and_end_with_their_session(
    bars: OHLCVRepository, symbol: str, of: int, timeframe: str
) -> None:
    told = year(symbol, of, timeframe)
    removed = {one.opened_at for one in told[1::9]}
    put(bars, [one for one in told if one.opened_at not in removed])
    step = HOUR if timeframe == "1h" else HOUR / 2
    found = bars.get_gaps(symbol, timeframe)
    assert sorted(instants(found, step)) == sorted(removed)
    assert all(one.to_at - one.from_at <= one.bars * step for one in found)


BY_PARTS = ((9, 30), (10, 30), (11, 30), (13, 0), (14, 0), (15, 0))
OVER_NOON = ((9, 30), (10, 30), (11, 30), (13, 30), (14, 30), (15, 30))
BY_CLOCK = ((9, 30), (10, 0), (11, 0), (13, 0), (14, 0), (15, 0))
FROM_BEFORE = ((9, 0), (10, 0), (11, 0), (13, 0), (14, 0), (15, 0))


@pytest.mark.parametrize("clocks", [BY_PARTS, OVER_NOON, BY_CLOCK, FROM_BEFORE])
def test_hours_may_be_counted_in_any_of_four_ways(bars: OHLCVRepository, clocks: Sequence[tuple[int, int]]) -> None:
    days = [date(2026, 3, 2) + timedelta(days=n) for n in range(5)]
    told = [bar(TENCENT, in_hong_kong(day, *clock), "1h") for day in days for clock in clocks]
    bars.insert_many(told)
    assert bars.get_gaps(TENCENT, "1h") == []
    for lost in told[1:-1]:
        bars.delete(TENCENT, "1h", lost.opened_at)
        assert [one.from_at for one in bars.get_gaps(TENCENT, "1h")] == [lost.opened_at]
        bars.insert_many([lost])


@pytest.mark.parametrize("dated", [None, ZoneInfo("UTC"), NEW_YORK], ids=["by the opening", "by UTC", "by New York"])
def test_a_missing_day_is_found_under_the_name_that_its_neighbours_have(bars: OHLCVRepository, dated: Any) -> None:
    told = daily_bars(APPLE, "XNYS", date(2024, 1, 1), date(2024, 12, 31), dated)
    removed = {one.opened_at for one in told[1:-1:10]}
    bars.insert_many(one for one in told if one.opened_at not in removed)
    assert {one.from_at for one in bars.get_gaps(APPLE, "1d")} == removed
    assert len(bars.get_gaps(APPLE, "1d")) == len(removed)


def test_what_belongs_to_no_exchange_trades_around_the_clock(bars: OHLCVRepository) -> None:
    begin = moment(date(2026, 3, 6), 5)
    told = [bar(BITCOIN, begin + n * MINUTE) for n in range(3 * 1440)]
    lost = {told[n].opened_at for n in (1, 2, 1500, 4000)}
    bars.insert_many(one for one in told if one.opened_at not in lost)
    found = bars.get_gaps(BITCOIN, "1m")
    assert sorted(instants(found)) == sorted(lost)
    assert [one.bars for one in found] == [2, 1, 1]


def test_a_reason_that_was_told_goes_with_its_bars(db: Database, bars: OHLCVRepository) -> None:
    begins = at_clock(TUESDAY, 10, 3)
    bars.insert_many(
        one for one in session_bars(APPLE, "XNYS", MONDAY, date(2026, 3, 4))
        if not begins <= one.opened_at < begins + 10 * MINUTE
    )  # fmt: skip
    write(db, gap(APPLE, begins, begins + 4 * MINUTE, GapReason.HALT))
    found = bars.get_gaps(APPLE, "1m")
    assert [(one.reason, one.bars, one.source) for one in found] == [
        (GapReason.HALT, 4, "PERSON"), (GapReason.VENDOR, 6, None)
    ]  # fmt: skip
    assert [one.is_explained for one in found] == [True, False]


def test_the_reason_of_a_day_is_not_that_of_the_day_before(db: Database, bars: OHLCVRepository) -> None:
    told = daily_bars(APPLE, "XNYS", MONDAY, date(2026, 3, 6), ZoneInfo("UTC"))
    bars.insert_many([told[0], *told[3:]])
    day = datetime.combine(TUESDAY, time(), NEW_YORK)
    write(db, gap(APPLE, day, day + timedelta(days=1), GapReason.NO_TRADE, "1d"))
    assert [one.reason for one in bars.get_gaps(APPLE, "1d")] == [GapReason.NO_TRADE, GapReason.VENDOR]


def test_closed_stretches_are_told_when_asked_for(bars: OHLCVRepository) -> None:
    put(bars, session_bars(APPLE, "XNYS", date(2025, 11, 25), date(2025, 12, 2)))
    assert bars.get_gaps(APPLE, "1m") == []
    holiday, half = bars.get_gaps(APPLE, "1m", include_closed=True)
    assert (holiday.reason, holiday.from_at, holiday.to_at) == (
        GapReason.HOLIDAY, at_clock(date(2025, 11, 27), 9, 30), at_clock(date(2025, 11, 27), 16)
    )  # fmt: skip
    assert (half.reason, half.from_at, half.to_at) == (
        GapReason.HALF_DAY, at_clock(date(2025, 11, 28), 13), at_clock(date(2025, 11, 28), 16)
    )  # fmt: skip
    assert (half.source, half.bars) == ("XNYS", 0)


def test_a_storm_is_a_holiday_with_its_name_and_never_at_noon(bars: OHLCVRepository) -> None:
    put(bars, year(TENCENT, 2023))
    told = [one for one in bars.get_gaps(TENCENT, "1m", include_closed=True) if one.from_at.date() == date(2023, 9, 1)]
    assert [(one.from_at, one.note) for one in told] == [
        (in_hong_kong(date(2023, 9, 1), 9, 30), "typhoon Saola"), (in_hong_kong(date(2023, 9, 1), 13), "typhoon Saola")
    ]  # fmt: skip


def test_a_told_range_counts_from_its_start_to_its_end(bars: OHLCVRepository) -> None:
    bars.insert_many(bar(APPLE, at_clock(TUESDAY, 10, n)) for n in range(30))
    assert bars.get_gaps(APPLE, "1m") == [], "a series that begins in the middle of a session just does"
    found = bars.get_gaps(APPLE, "1m", at_clock(TUESDAY, 9, 55), at_clock(TUESDAY, 10, 32))
    assert [(one.from_at, one.bars) for one in found] == [(at_clock(TUESDAY, 9, 55), 5), (at_clock(TUESDAY, 10, 30), 2)]
    assert sum(one.bars for one in bars.get_gaps(APPLE, "1m", MONDAY, date(2026, 3, 4))) == 2 * 390 - 30
    assert bars.get_gaps(TENCENT, "1m") == []


def test_the_first_session_counts_from_its_opening_where_most_of_it_is_there(bars: OHLCVRepository) -> None:
    told = session_bars(APPLE, "XNYS", MONDAY, TUESDAY)
    bars.insert_many(told[1:-1])
    assert instants(bars.get_gaps(APPLE, "1m")) == [told[0].opened_at, told[-1].opened_at]


def test_what_has_not_ended_is_not_missing(bars: OHLCVRepository) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    bars.insert_many([bar(BITCOIN, now - 3 * MINUTE), bar(BITCOIN, now - MINUTE)])
    found = bars.get_gaps(BITCOIN, "1m", end=now + 60 * MINUTE)
    assert instants(found)[0] == now - 2 * MINUTE
    assert len(instants(found)) <= 3, "the minute that runs and those to come are not due"


def test_where_nobody_knows_when_bars_are_due_only_told_gaps_are(db: Database, bars: OHLCVRepository) -> None:
    option = "US.AAPL 2026-03-20 C 200"
    write(db, named(option, AssetClass.OPTION, APPLE), named("US.ESH6", AssetClass.FUTURE))
    for symbol in (option, "US.ESH6", "FX.USD.HKD"):
        bars.insert_many([bar(symbol, at_clock(MONDAY, 10)), bar(symbol, at_clock(TUESDAY, 10))])
        assert bars.get_gaps(symbol, "1m") == []
        write(db, gap(symbol, at_clock(MONDAY, 11), at_clock(MONDAY, 12), GapReason.HALT))
        assert [one.reason for one in bars.get_gaps(symbol, "1m")] == [GapReason.HALT]


def test_the_exchange_of_a_bar_decides_where_its_symbol_tells_none(bars: OHLCVRepository) -> None:
    for exchange in ("NASDAQ", "XNYS", "US"):
        told = [replace(one, symbol=f"AAPL-{exchange}", exchange=exchange)
                for one in session_bars(APPLE, "XNYS", MONDAY, date(2026, 3, 9))]  # fmt: skip
        bars.insert_many(told)
        assert bars.get_gaps(f"AAPL-{exchange}", "1m") == []
        bars.delete(f"AAPL-{exchange}", "1m", told[700].opened_at)
        assert instants(bars.get_gaps(f"AAPL-{exchange}", "1m")) == [told[700].opened_at]


def test_bars_of_extended_hours_fill_no_gap(db: Database, bars: OHLCVRepository) -> None:
    calendars(db)
    told = session_bars(APPLE, "XNYS", MONDAY, TUESDAY)
    told[5] = replace(told[5], session=BarSession.EXTENDED)
    bars.insert_many([*told, replace(bar(APPLE, at_clock(MONDAY, 17)), session=BarSession.EXTENDED)])
    assert instants(bars.get_gaps(APPLE, "1m")) == [told[5].opened_at]
    assert value(db.url, "SELECT count(*) FROM ohlcv") == len(told) + 1
