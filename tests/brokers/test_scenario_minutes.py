"""The minutes of a scenario agree with its closes, its fills and the calendars of its exchanges."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from apex_pipeline.brokers.scenario import Contract, Fill, Scenario
from apex_pipeline.brokers.scenario_days import session_times
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.brokers.scenario_market import tick_of
from apex_pipeline.brokers.scenario_minutes import Minutes, Stretch, Trading
from apex_pipeline.domain.models import AssetClass

EVER = (date(2000, 1, 1), date(2100, 1, 1))


@pytest.fixture(scope="module")
def minutes(busy: Scenario) -> Minutes:
    return Minutes(busy)


def fills(scenario: Scenario) -> Iterator[Fill]:
    return (fill for order in scenario.orders for fill in order.fills)


def contract_of(minutes: Minutes, market: str, code: str) -> Contract:
    return next(c for c in minutes.contracts if (c.market, c.code) == (market, code) and c.strike is None)


def minute_of(minutes: Minutes, fill: Fill) -> Trading | None:
    assert minutes.days(fill.contract, fill.trade_date, fill.trade_date) == [fill.trade_date]
    told = minutes.stretches(fill.contract, fill.trade_date, 1)
    return next((s.trading for s in told if s.begins_at <= fill.at < s.ends_at), None)


def test_every_fill_of_every_broker_lies_inside_its_minute(busy: Scenario, minutes: Minutes) -> None:
    traded = list(fills(busy))[::6]
    told = [(fill, minute_of(minutes, fill)) for fill in traded]
    assert len(traded) > 500
    assert all(minute and minute.low <= fill.price <= minute.high for fill, minute in told)
    assert all(minute and minute.volume >= fill.qty for fill, minute in told)
    without = Minutes(generate(8, 60, 120, busy.end))
    shares = [fill for fill in traded if fill.contract.strike is None]
    others = [minute_of(without, fill) for fill in shares]
    assert not all(o and o.low <= f.price <= o.high for f, o in zip(shares, others, strict=True))


def test_longer_stretches_and_days_hold_their_minutes(minutes: Minutes) -> None:
    contract = contract_of(minutes, "HK", "00700")
    day = minutes.days(contract, *EVER)[-1]
    whole = minutes.whole_day(contract, day).trading
    for length in (1, 5, 15, 30, 60):
        told = [s.trading for s in minutes.stretches(contract, day, length)]
        traded = [trading for trading in told if trading is not None]
        assert whole == Trading(
            traded[0].open, max(t.high for t in traded), min(t.low for t in traded), traded[-1].close,
            sum((t.volume for t in traded), Decimal(0)),
        )  # fmt: skip


def test_a_day_ends_at_its_close_and_the_next_begins_there(busy: Scenario, minutes: Minutes) -> None:
    contract = contract_of(minutes, "US", "AAPL")
    closes = busy.closes["US", "AAPL"]
    days = minutes.days(contract, *EVER)
    assert days == list(closes)
    told = [minutes.whole_day(contract, day).trading for day in days]
    assert [trading and trading.close for trading in told] == list(closes.values())
    assert [trading and trading.open for trading in told[1:]] == list(closes.values())[:-1]


def test_prices_are_ordered_and_on_their_ticks(minutes: Minutes) -> None:
    for contract in minutes.contracts[:40]:
        for day in minutes.days(contract, *EVER)[:5]:
            for stretch in minutes.stretches(contract, day, 1):
                if (trading := stretch.trading) is not None:
                    assert 0 < trading.low <= min(trading.open, trading.close)
                    assert max(trading.open, trading.close) <= trading.high
                    tick = tick_of(contract.market, contract.asset_class, min(trading.open, trading.close))
                    assert trading.high % min(tick, Decimal("0.01")) == 0


def walls(stretches: Iterator[Stretch]) -> list[str]:
    return [f"{s.begins_at:%H:%M}-{s.ends_at:%H:%M}" for s in stretches]


def test_half_days_lunch_and_summer_time_are_those_of_the_exchanges() -> None:
    minutes = Minutes(generate(7, 60, 400, date(2026, 11, 30)))
    share, stock = contract_of(minutes, "US", "AAPL"), contract_of(minutes, "HK", "00700")
    assert walls(minutes.stretches(share, date(2026, 11, 27), 60)) == [
        "14:30-15:30", "15:30-16:30", "16:30-17:30", "17:30-18:00"
    ]  # fmt: skip
    assert walls(minutes.stretches(share, date(2026, 10, 30), 60))[0] == "13:30-14:30"
    assert walls(minutes.stretches(stock, date(2026, 11, 27), 60)) == [
        "01:30-02:30", "02:30-03:30", "03:30-04:00", "05:00-06:00", "06:00-07:00", "07:00-08:00"
    ]  # fmt: skip
    assert walls(minutes.stretches(stock, date(2025, 12, 24), 60))[-1] == "03:30-04:00"
    assert date(2026, 11, 26) not in minutes.days(share, *EVER)


def test_options_are_listed_for_a_while_and_trade_in_some_minutes(busy: Scenario, minutes: Minutes) -> None:
    option = next(fill.contract for fill in fills(busy) if fill.contract.asset_class == AssetClass.OPTION)
    assert option.expiry is not None
    days = minutes.days(option, *EVER)
    assert days[-1] <= option.expiry
    told = [s.trading for s in minutes.stretches(option, days[-2], 1)]
    assert 0 < sum(trading is None for trading in told) < len(told)


def test_the_same_scenario_has_the_same_minutes(busy: Scenario, minutes: Minutes) -> None:
    again = Minutes(generate(7, 1500, 120, busy.end))
    contract = contract_of(minutes, "US", "AAPL")
    day = minutes.days(contract, *EVER)[3]
    assert list(again.stretches(contract, day, 1)) == list(minutes.stretches(contract, day, 1))
    assert session_times("US", day)[0][0] == datetime(day.year, day.month, day.day, 13, 30, tzinfo=UTC)
