"""Settlement days and dates, beside the schedules that regulators printed."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.calendars import is_bank_holiday
from apex_pipeline.domain.ledger import MarketDay
from apex_pipeline.domain.models import AssetClass
from apex_pipeline.domain.settlement import RULES, rule_of, settlement_date

STOCK, OPTION = AssetClass.STOCK, AssetClass.OPTION


def days_of(first: date, last: date, closed: set[date]) -> list[MarketDay]:
    """Weekdays as sessions, but the days that are closed to settlement."""
    span = (first + timedelta(n) for n in range((last - first).days + 1))
    return [
        MarketDay("XNYS", day, day.weekday() < 5, day.weekday() < 5 and day not in closed, None, None) for day in span
    ]


@pytest.mark.parametrize(
    ("trade_date", "settles_on"),
    [(5, 8), (6, 12), (7, 13), (8, 14), (11, 14), (12, 15)],
)
def test_the_days_around_columbus_day_settle_as_the_nasd_printed_them(trade_date: int, settles_on: int) -> None:
    """Notice to Members 99-83: T+3 around Monday, October 11, 1999."""
    days = days_of(date(1999, 10, 1), date(1999, 10, 31), {date(1999, 10, 11)})
    assert settlement_date(date(1999, 10, trade_date), 3, days) == date(1999, 10, settles_on)


def test_a_settlement_day_too_many_would_be_noticed() -> None:
    days = days_of(date(1999, 10, 1), date(1999, 10, 31), set())
    assert settlement_date(date(1999, 10, 6), 3, days) != date(1999, 10, 12)


@pytest.mark.parametrize("year", range(2015, 2035))
def test_columbus_day_is_the_second_monday_of_october_and_no_other_day(year: int) -> None:
    days = [day for day in (date(year, 10, 1) + timedelta(n) for n in range(31)) if is_bank_holiday("XNYS", day)]
    mondays = [day for day in (date(year, 10, 1) + timedelta(n) for n in range(31)) if day.weekday() == 0]
    assert days == [mondays[1]]


@pytest.mark.parametrize(
    ("day", "closed"),
    [
        (date(2025, 11, 11), True),
        (date(2018, 11, 12), True),  # the 11th was a Sunday
        (date(2018, 11, 11), True),
        (date(2023, 11, 10), False),  # the 11th was a Saturday: the Reserve Banks stay open on Friday
        (date(2025, 11, 12), False),
        (date(2024, 11, 12), False),
    ],
)
def test_veterans_day_moves_to_monday_only(day: date, closed: bool) -> None:
    assert is_bank_holiday("XNYS", day) is closed


def test_hong_kong_knows_no_such_holiday() -> None:
    assert not is_bank_holiday("XHKG", date(2025, 10, 13))


@pytest.mark.parametrize(
    ("market", "asset_class", "day", "cycle"),
    [
        ("US", STOCK, date(2017, 9, 4), 3),
        ("US", STOCK, date(2017, 9, 5), 2),
        ("US", STOCK, date(2024, 5, 27), 2),
        ("US", STOCK, date(2024, 5, 28), 1),
        ("US", OPTION, date(2010, 1, 4), 1),
        ("US", OPTION, date(2026, 1, 5), 1),
        ("HK", STOCK, date(2026, 1, 5), 2),
        ("HK", OPTION, date(2026, 1, 5), 1),
        ("HK", AssetClass.WARRANT, date(2026, 1, 5), 2),
        ("UK", STOCK, date(2026, 1, 5), 2),
    ],
)
def test_the_cycle_is_that_of_market_class_and_date(
    market: str, asset_class: AssetClass, day: date, cycle: int
) -> None:
    rule = rule_of(market, asset_class, day)
    assert rule is not None
    assert rule.days == cycle


@pytest.mark.parametrize(
    ("market", "asset_class", "day"),
    [
        ("US", AssetClass.FUTURE, date(2026, 1, 5)),
        ("US", AssetClass.BOND, date(2026, 1, 5)),
        ("FX", AssetClass.FX, date(2026, 1, 5)),
        (None, STOCK, date(2026, 1, 5)),
        ("UK", STOCK, date(2014, 10, 3)),
        ("DE", STOCK, date(2026, 1, 5)),
    ],
)
def test_what_no_rule_covers_has_none(market: str | None, asset_class: AssetClass, day: date) -> None:
    assert rule_of(market, asset_class, day) is None


@given(st.dates(date(2000, 1, 1), date(2035, 1, 1)))
def test_one_rule_at_most_covers_a_trade(day: date) -> None:
    for market, asset_class in {(one.market, kind) for one in RULES for kind in one.asset_classes}:
        fitting = [
            one for one in RULES
            if one.market == market and asset_class in one.asset_classes
            and (one.first or date.min) <= day <= (one.last or date.max)
        ]  # fmt: skip
        assert len(fitting) <= 1
        assert rule_of(market, asset_class, day) == (fitting[0] if fitting else None)


@given(
    st.dates(date(2020, 1, 1), date(2020, 12, 1)),
    st.integers(1, 4),
    st.sets(st.dates(date(2020, 1, 1), date(2020, 12, 31))),
)
def test_exactly_so_many_settlement_days_lie_after_the_trade(day: date, cycle: int, closed: set[date]) -> None:
    days = days_of(date(2020, 1, 1), date(2020, 12, 31), closed)
    settles = settlement_date(day, cycle, days)
    between = [one for one in days if one.is_settlement_day and settles is not None and day < one.on_date <= settles]
    assert settles is None or (len(between) == cycle and between[-1].on_date == settles)


def test_a_calendar_that_ends_too_early_tells_nothing() -> None:
    days = days_of(date(2020, 1, 1), date(2020, 1, 10), set())
    assert settlement_date(date(2020, 1, 9), 1, days) == date(2020, 1, 10)
    assert settlement_date(date(2020, 1, 9), 2, days) is None
    assert settlement_date(date(2019, 12, 31), 1, days) is None
