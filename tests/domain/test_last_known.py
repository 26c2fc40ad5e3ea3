"""What accounts are worth together follows from what is known last of each; a hole in a sum is told as a hole."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from apex_pipeline.domain.last_known import (
    AccountKnown,
    LastDay,
    Worth,
    account_summary,
    is_held,
    number_of,
    summary,
    told_position,
)
from apex_pipeline.domain.valuation import Rate, Rates, Trips

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = LastDay(date(2026, 5, 1), "USD", Decimal(1100), "USD", Decimal(1000), Decimal(30))
OF_DAY = Worth(NOW - timedelta(days=2), "BROKER", "USD", Decimal(1100), Decimal(100))
KNOWN = AccountKnown("IB", "U1", (OF_DAY,), DAY, 3, NOW, Trips(won=2, known=3, every=4))
NO_RATES = Rates(())
HKD = replace(
    KNOWN,
    broker="FUTU",
    account_id="F1",
    worths=(replace(OF_DAY, currency="HKD", value=Decimal(780), cash=Decimal(78)),),
    day=replace(DAY, currency="HKD", currency_before="HKD", value=Decimal(780), value_before=Decimal(750)),
)
RATES = Rates([Rate("U1", date(2026, 5, 1), "HKD", "USD", Decimal("0.1282051282"))])


def test_the_newest_source_that_knows_a_worth_is_told() -> None:
    shot = Worth(NOW, "SNAPSHOT", "USD", Decimal("1105.50"), Decimal(90))
    told = account_summary(replace(KNOWN, worths=(OF_DAY, shot)))
    assert (told.portfolio_value, told.cash_balance, told.as_of, told.source) == (shot.value, 90, NOW, "SNAPSHOT")
    unknown = replace(shot, value=None)
    assert account_summary(replace(KNOWN, worths=(OF_DAY, unknown))).source == "BROKER"
    only = account_summary(replace(KNOWN, worths=(unknown,)))
    assert (only.portfolio_value, only.cash_balance, only.as_of) == (None, 90, NOW)


def test_the_gain_of_a_day_leaves_out_what_was_paid_in() -> None:
    assert account_summary(KNOWN).daily_pnl == 70
    assert account_summary(KNOWN).daily_pnl_date == date(2026, 5, 1)


@pytest.mark.parametrize(
    "day",
    [
        replace(DAY, net_flow=None),
        replace(DAY, value_before=None),
        replace(DAY, value=None),
        replace(DAY, currency_before="HKD"),
        None,
    ],
)
def test_a_gain_that_is_not_known_is_none_and_never_zero(day: LastDay | None) -> None:
    assert account_summary(replace(KNOWN, day=day)).daily_pnl is None
    assert summary([KNOWN, replace(KNOWN, day=day)], NO_RATES).daily_pnl is None


def test_accounts_of_one_currency_are_added() -> None:
    told = summary([KNOWN, replace(KNOWN, account_id="U2", trips=Trips(1, 1, 2))], NO_RATES)
    assert (told.currency, told.portfolio_value, told.cash_balance, told.daily_pnl) == ("USD", 2200, 200, 140)
    assert (told.active_positions, told.total_trades, told.win_rate) == (6, 6, Decimal("0.75"))


def test_accounts_of_several_currencies_are_converted_into_that_of_most() -> None:
    told = summary([KNOWN, replace(KNOWN, account_id="U2"), HKD], RATES)
    assert told.currency == "USD"
    assert told.portfolio_value == Decimal("2299.999999996")
    assert summary([KNOWN, HKD], RATES).currency == "HKD"  # of two equally common ones the first by name
    assert summary([KNOWN, HKD], RATES, "USD").portfolio_value == Decimal("1199.999999996")


def test_without_a_rate_sums_of_money_are_not_known_but_counts_are() -> None:
    told = summary([KNOWN, HKD], NO_RATES)
    assert (told.portfolio_value, told.cash_balance, told.daily_pnl) == (None, None, None)
    assert (told.active_positions, told.total_trades) == (6, 8)


def test_the_whole_is_as_old_as_its_oldest_part() -> None:
    fresh = replace(KNOWN, worths=(replace(OF_DAY, as_of=NOW, source="SNAPSHOT"),))
    told = summary([fresh, KNOWN], NO_RATES)
    assert (told.as_of, told.source) == (OF_DAY.as_of, "BROKER+SNAPSHOT")
    assert summary([fresh, replace(KNOWN, worths=())], NO_RATES).as_of is None


def test_nothing_known_is_nothing_told() -> None:
    told = summary([], NO_RATES)
    assert {getattr(told, name) for name in ("portfolio_value", "daily_pnl", "win_rate", "total_trades")} == {None}
    assert summary([replace(KNOWN, trips=None)], NO_RATES).total_trades is None


def test_positions_of_a_snapshot_are_read_exactly_whatever_wrote_them() -> None:
    told = {"symbol": "US.AAPL", "qty": "10", "avg_cost": Decimal("1.10"), "market_value": "NaN", "more": 1}
    row = told_position(told)
    assert (row["symbol"], row["qty"], row["avg_cost"], row["market_value"]) == ("US.AAPL", 10, Decimal("1.10"), None)
    assert "more" not in row


def test_currencies_combinations_and_what_was_given_up_are_not_held() -> None:
    assert not is_held({"symbol": "US.MSFT", "qty": "0.0"})
    assert not is_held({"symbol": "FX.USD.HKD", "qty": 5, "asset_class": "FX"})
    assert is_held({"symbol": "US.TSLA", "qty": None})  # not known, and so perhaps held
    assert is_held({"symbol": "US.TSLA", "qty": -1, "asset_class": "STOCK"})


@pytest.mark.parametrize("told", ["", "NaN", "Infinity", "1,5", "0x1", "1e9999", True, None, [1]])
def test_what_is_no_number_is_not_known(told: object) -> None:
    assert number_of(told) is None
    assert number_of("-1.50") == Decimal("-1.50")
