"""The days of the simulated markets are those of the real ones, as exchanges announced them."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache

import pytest

from apex_pipeline.brokers.ib.statement_extras import conversions, reversals
from apex_pipeline.brokers.ib.statement_ledger import moves_of
from apex_pipeline.brokers.scenario import Contract, Scenario
from apex_pipeline.brokers.scenario_days import (
    STORMS,
    ZONES,
    exchanged_on,
    is_session,
    session_days,
    session_times,
    settled_on,
)
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.ledger import CalendarOverride
from apex_pipeline.domain.models import AssetClass
from apex_pipeline.errors import ConfigError
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import row_as

FIRST, LAST = date(2025, 8, 1), date(2026, 7, 31)
HOLIDAYS = {
    "US": "2025-09-01 2025-11-27 2025-12-25 2026-01-01 2026-01-19 2026-02-16 2026-04-03 2026-05-25 2026-06-19 "
    "2026-07-03",
    "HK": "2025-10-01 2025-10-07 2025-10-29 2025-12-25 2025-12-26 2026-01-01 2026-02-17 2026-02-18 2026-02-19 "
    "2026-04-03 2026-04-06 2026-04-07 2026-05-01 2026-05-25 2026-06-19 2026-07-01",
}
HALF_DAYS = {"US": "2025-11-28 2025-12-24", "HK": "2025-12-24 2025-12-31 2026-02-16"}
HALF_DAY_ENDS = {"US": time(13), "HK": time(12)}


def days(text: str) -> set[date]:
    return {date.fromisoformat(day) for day in text.split()}


def contract(market: str, asset_class: AssetClass) -> Contract:
    return Contract(market, asset_class, "X", "X", "X", "USD", Decimal(1), 1)


@cache
def scenario() -> Scenario:
    return generate(1, 2000, 365, LAST)


def trade_days(told: Scenario, market: str) -> set[date]:
    """The days on which anything was ordered or filled there."""
    orders = [order for order in told.orders if order.contract.market == market]
    return {order.trade_date for order in orders} | {fill.trade_date for order in orders for fill in order.fills}


@pytest.mark.parametrize("market", sorted(HOLIDAYS))
def test_the_sessions_of_a_year_are_its_weekdays_without_the_holidays(market: str) -> None:
    weekdays = {FIRST + timedelta(n) for n in range(365) if (FIRST + timedelta(n)).isoweekday() <= 5}
    assert weekdays - set(session_days(market, FIRST, LAST)) == days(HOLIDAYS[market])
    assert session_days(market, LAST, FIRST) == []


@pytest.mark.parametrize("market", sorted(HALF_DAYS))
def test_the_days_before_feasts_are_short(market: str) -> None:
    ends = {
        day: session_times(market, day)[-1][1].astimezone(ZONES[market]) for day in session_days(market, FIRST, LAST)
    }
    assert {day for day, end in ends.items() if end.time() < time(16)} == days(HALF_DAYS[market])
    assert {ends[day].time() for day in days(HALF_DAYS[market])} == {HALF_DAY_ENDS[market]}


def test_storms_that_the_library_does_not_know_close_hong_kong() -> None:
    assert not any(is_session("HK", storm.on_date) for storm in STORMS)
    assert settled_on(contract("HK", AssetClass.STOCK), date(2023, 8, 31)) == date(2023, 9, 5)


def test_a_new_database_overrides_the_same_days(db: Database) -> None:
    assert {row_as(CalendarOverride, row) for row in db.fetch("calendar_overrides")} == set(STORMS)


@pytest.mark.parametrize(
    ("market", "asset_class", "traded", "settles"),
    [
        ("US", AssetClass.STOCK, "2024-05-24", "2024-05-29"),  # T+2 over Memorial Day
        ("US", AssetClass.STOCK, "2024-05-28", "2024-05-29"),  # the first day of T+1
        ("US", AssetClass.OPTION, "2024-05-24", "2024-05-28"),
        ("US", AssetClass.STOCK, "2025-10-10", "2025-10-14"),  # Columbus Day
        ("US", AssetClass.OPTION, "2025-11-10", "2025-11-12"),  # Veterans Day
        ("US", AssetClass.STOCK, "2026-07-02", "2026-07-06"),
        ("HK", AssetClass.STOCK, "2026-02-16", "2026-02-23"),  # the feast of spring
        ("HK", AssetClass.OPTION, "2026-02-16", "2026-02-20"),
        ("HK", AssetClass.STOCK, "2025-10-10", "2025-10-14"),
    ],
)
def test_a_trade_settles_by_the_rule_of_its_market(
    market: str, asset_class: AssetClass, traded: str, settles: str
) -> None:
    told = settled_on(contract(market, asset_class), date.fromisoformat(traded))
    assert told == date.fromisoformat(settles)


def test_currencies_change_hands_when_the_banks_of_both_countries_work() -> None:
    assert exchanged_on(date(2026, 3, 2)) == date(2026, 3, 4)
    assert exchanged_on(date(2025, 10, 9)) == date(2025, 10, 14), "Columbus Day"
    assert exchanged_on(date(2026, 4, 2)) == date(2026, 4, 9), "Easter and Ching Ming"


@pytest.mark.parametrize("market", sorted(HOLIDAYS))
def test_nothing_is_traded_on_a_holiday_and_something_where_only_the_other_market_rests(market: str) -> None:
    (other,) = HOLIDAYS.keys() - {market}
    traded = trade_days(scenario(), market)
    assert not traded & days(HOLIDAYS[market])
    assert traded & (days(HOLIDAYS[other]) - days(HOLIDAYS[market]))


def test_options_expire_on_sessions_the_day_before_a_closed_friday() -> None:
    ends = {fill.contract.expiry for order in scenario().orders for fill in order.fills if fill.contract.market == "US"}
    assert ends & {date(2026, 4, 2), date(2026, 7, 2), date(2026, 6, 18)}
    assert not ends & days(HOLIDAYS["US"])


def test_a_cancelled_trade_is_rebooked_on_the_next_session_of_its_market() -> None:
    told = scenario()
    pairs = list(reversals(told, moves_of(told)))
    assert pairs
    for move in pairs:
        market = move.source.contract.market
        after = (move.source.trade_date + timedelta(n) for n in range(1, 15))
        assert move.report_date == next(day for day in after if is_session(market, day))
        assert move.settle_date == settled_on(move.source.contract, move.source.trade_date)


def test_conversions_are_on_days_when_one_of_the_markets_trades() -> None:
    deals = conversions(scenario())
    assert deals
    assert all(is_session("US", deal.trade_date) or is_session("HK", deal.trade_date) for deal in deals)


@pytest.mark.parametrize(
    ("end", "length"),
    [
        ("2025-12-26", 2),  # Christmas, then New York alone
        ("2026-02-19", 3),  # New York while Hong Kong rests
        ("2026-07-03", 3),  # Hong Kong alone on the last day
        ("2026-01-19", 11),  # Hong Kong alone on the last day, and a disabled account before
    ],
)
def test_a_scenario_may_begin_and_end_on_holidays(end: str, length: int) -> None:
    told = generate(3, 40, length, date.fromisoformat(end))
    assert len([order for order in told.orders if order.broker == "FUTU"]) >= 40
    assert set(told.closes["US", "KO"]) == set(session_days("US", told.start, told.end))
    assert set(told.closes["HK", "00700"]) == set(session_days("HK", told.start, told.end))


def test_days_on_which_new_york_rests_are_refused() -> None:
    with pytest.raises(ConfigError, match="ask for more days"):
        generate(1, 10, 1, date(2026, 2, 16))


def test_a_clock_change_moves_the_session_in_utc() -> None:
    def begins(day: date) -> datetime:
        return session_times("US", day)[0][0]

    assert begins(date(2026, 3, 9)).hour == begins(date(2026, 3, 6)).hour - 1
