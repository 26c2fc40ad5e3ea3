"""What loads of bars ask for, and what they keep of an answer."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from apex_pipeline.domain.bar_plan import BarWish, Listed, Wanted
from apex_pipeline.domain.checks import CheckName
from apex_pipeline.domain.market import Bar, BarAnswer, BarAsk, Timeframe
from apex_pipeline.domain.models import Broker
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.bar_loads import BarLoadRepository
from apex_pipeline.store.repositories.bars import OHLCVRepository
from tests.store.check_rows import findings
from tests.store.market_rows import APPLE, FIRST, LAST, NEW_YORK, bar, calendars, daily_bars, session_bars
from tests.store.rows import query

MONDAY, FRIDAY = date(2026, 3, 2), date(2026, 3, 6)
NOW = datetime(2026, 4, 2, tzinfo=UTC)
MISSING = CheckName.NO_BAR_IS_MISSING
COIN = "CRYPTO.BTC.USD"


@pytest.fixture
def loads(db: Database) -> BarLoadRepository:
    calendars(db)
    query(
        db.url,
        "INSERT INTO instruments (symbol, asset_class, futu_code, ib_conid, currency) "
        "VALUES ('US.AAPL', 'STOCK', 'US.AAPL', '1', 'USD'), ('US.KO', 'STOCK', 'US.KO', '2', 'USD'), "
        "('CRYPTO.BTC.USD', 'CRYPTO', NULL, '3', 'USD')",
    )
    return BarLoadRepository(db, NOW)


def ask(first: date, last: date, timeframe: Timeframe = Timeframe.MINUTE) -> BarAsk:
    return BarAsk(APPLE, "US.AAPL", "US", timeframe, first, last)


def by_futu(bars: Iterable[Bar]) -> BarAnswer:
    return BarAnswer([replace(one, source="FUTU", exchange="US") for one in bars])


def minutes(*days: date) -> Wanted:
    return Wanted(Listed(APPLE, "US", {Broker.FUTU: APPLE}, fills=days), Timeframe.MINUTE, days)


# What is wanted -----------------------------------------------------------------------------------------------


def hold(db: Database, broker: Broker, account: str, symbol: str, day: date) -> None:
    query(
        db.url,
        "INSERT INTO positions_daily (business_date, broker, account_id, instrument_id, symbol, asset_class, qty) "
        "VALUES (%s, %s, %s, %s, %s, 'STOCK', 10)",
        day, broker.value, account, symbol, symbol,
    )  # fmt: skip


def test_what_each_account_holds_is_wanted_however_far_it_is_known(db: Database, loads: BarLoadRepository) -> None:
    """IB tells yesterday, Futu today."""
    hold(db, Broker.FUTU, "1", APPLE, MONDAY + timedelta(1))
    hold(db, Broker.IB, "U1", "US.KO", MONDAY)
    wish = BarWish(MONDAY, MONDAY + timedelta(1), MONDAY + timedelta(2))
    assert [one.listed.symbol for one in loads.wanted(wish)] == [APPLE, "US.KO"]


def test_what_an_account_held_last_long_ago_is_held_no_more(db: Database, loads: BarLoadRepository) -> None:
    hold(db, Broker.IB, "U1", "US.KO", MONDAY - timedelta(100))
    assert loads.wanted(BarWish(MONDAY, MONDAY, MONDAY)) == []


def test_of_what_trades_around_the_clock_the_wanted_days_are_asked_for(loads: BarLoadRepository) -> None:
    days = MONDAY, MONDAY + timedelta(1), FRIDAY + timedelta(19)
    coin = Listed(COIN, "CRYPTO", {Broker.IB: "3"}, fills=days)
    for timeframe in (Timeframe.MINUTE, Timeframe.DAY):
        assert [one.days for one in loads.unknown([Wanted(coin, timeframe, days)])] == [days]


# What is kept -------------------------------------------------------------------------------------------------


def test_each_answer_excuses_what_nobody_asked_for_so_that_a_killed_load_leaves_no_lost_sessions(
    db: Database, loads: BarLoadRepository
) -> None:
    for day in (MONDAY, FRIDAY, date(2026, 3, 4)):
        loads.store(Broker.FUTU, ask(day, day), by_futu(session_bars(APPLE, "XNYS", day, day)), [day])
        assert findings(db, MISSING, FIRST, LAST) == []
    told = query(db.url, "SELECT from_at::date, reason, source FROM ohlcv_gaps ORDER BY 1")
    assert told == [(day, "NOT_ASKED", "PIPELINE") for day in (date(2026, 3, 3), date(2026, 3, 5))]
    assert loads.unknown([minutes(MONDAY, FRIDAY)]) == []
    assert [one.days for one in loads.unknown([minutes(MONDAY, date(2026, 3, 5))])] == [(date(2026, 3, 5),)]
    query(db.url, "DELETE FROM ohlcv_gaps WHERE from_at::date = '2026-03-03'")
    assert [one.business_date for one in findings(db, MISSING, FIRST, LAST)] == [date(2026, 3, 3)]


def test_a_session_without_any_bar_is_asked_for_again(db: Database, loads: BarLoadRepository) -> None:
    loads.store(Broker.FUTU, ask(MONDAY, MONDAY), BarAnswer(()), ())
    assert query(db.url, "SELECT reason, source FROM ohlcv_gaps") == [("VENDOR", "FUTU")]
    assert [one.refused_by for one in loads.unknown([minutes(MONDAY)])] == [{Broker.FUTU}]
    later = BarLoadRepository(db, NOW + timedelta(days=8))
    assert [one.refused_by for one in later.unknown([minutes(MONDAY)])] == [frozenset()]


def test_a_day_that_is_told_already_is_not_told_twice_under_another_instant(
    db: Database, loads: BarLoadRepository
) -> None:
    """An engine dates its days by midnight in UTC, brokers by midnight of the exchange."""
    OHLCVRepository(db).insert_many([bar(APPLE, datetime(2026, 3, 3, tzinfo=UTC), "1d", source="ENGINE")])
    answer = by_futu(daily_bars(APPLE, "XNYS", MONDAY, FRIDAY, dated=NEW_YORK))
    loads.store(Broker.FUTU, ask(MONDAY, FRIDAY, Timeframe.DAY), answer, ())
    told = query(db.url, "SELECT date_of_bar(opened_at, true, 'America/New_York'), source FROM ohlcv ORDER BY 1")
    sources = [("ENGINE" if day == date(2026, 3, 3) else "FUTU") for day, _ in told]
    assert told == [(MONDAY + timedelta(n), sources[n]) for n in range(5)]
    assert findings(db, MISSING, FIRST, LAST) == []
