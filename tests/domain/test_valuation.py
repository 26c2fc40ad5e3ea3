"""Rows of performance: what an account was worth in its base currency, and what it gained."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from apex_pipeline.domain.ledger import Performance
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.performance import ValueSource
from apex_pipeline.domain.valuation import AccountFacts, Held, Rate, Rates, Result, Trips, Valuer, end_of_day

MON, TUE, WED = (date(2024, 7, day) for day in range(1, 4))
SAT, NEXT_MON = date(2024, 7, 6), date(2024, 7, 8)
HKD = Rate("U1", MON, "HKD", "USD", Decimal("0.125"))


def facts(*days: date, base: str = "USD") -> AccountFacts:
    return AccountFacts("U1", Broker.IB, days=list(days), bases=[(date.min, base)])


def rows(about: AccountFacts, *rates: Rate) -> list[Performance]:
    return Valuer(about, Rates(rates)).rows()


def test_cash_of_all_currencies_and_positions_are_worth_their_sum_in_the_base_currency() -> None:
    about = facts(MON)
    about.cash["USD"] = [(MON, Decimal(100))]
    about.cash["HKD"] = [(MON, Decimal(80))]
    about.held[MON]["HKD"] = Held(Decimal(800), Decimal(-16))
    row = rows(about, HKD)[0]
    assert (row.cash, row.positions_value, row.net_liquidation) == (Decimal(110), Decimal(100), Decimal(210))
    assert (row.unrealized_pnl, row.currency, row.source) == (Decimal(-2), "USD", ValueSource.LEDGER)
    assert row.as_of == datetime(2024, 7, 2, 3, 59, 59, tzinfo=UTC)


def test_the_last_state_of_cash_holds_until_the_next() -> None:
    about = facts(MON, TUE, WED)
    about.cash["USD"] = [(MON, Decimal(100)), (WED, Decimal(90))]
    assert [row.cash for row in rows(about)] == [Decimal(100), Decimal(100), Decimal(90)]


def test_what_the_broker_says_comes_first_and_is_named() -> None:
    about = facts(MON)
    about.cash["USD"] = [(MON, Decimal(100))]
    about.told[MON] = ("HKD", Decimal(880))
    row = rows(about, HKD)[0]
    assert (row.net_liquidation, row.source, row.cash) == (Decimal(110), ValueSource.BROKER, Decimal(100))


def test_a_missing_mark_rate_or_total_makes_the_sum_unknown() -> None:
    about = facts(MON, TUE, WED)
    about.cash["USD"] = [(MON, Decimal(100)), (WED, None)]
    about.held[MON]["USD"] = Held(None, None)
    about.held[TUE]["CHF"] = Held(Decimal(5), Decimal(1))
    told = rows(about, HKD)
    assert [row.positions_value for row in told] == [None, None, Decimal(0)]
    assert [row.cash for row in told] == [Decimal(100), Decimal(100), None]
    assert [row.net_liquidation for row in told] == [None, None, None]


def test_nothing_of_a_currency_needs_no_rate() -> None:
    about = facts(MON)
    about.cash["CHF"] = [(MON, Decimal(0))]
    assert rows(about)[0].cash == 0


def test_without_a_base_currency_no_sum_is_known() -> None:
    about = AccountFacts("U1", Broker.IB, days=[MON])
    about.cash["USD"] = [(MON, Decimal(1))]
    assert (rows(about)[0].currency, rows(about)[0].cash) == (None, None)


def test_a_base_currency_that_a_person_set_holds_from_its_day_on() -> None:
    about = facts(MON, TUE)
    about.bases.append((TUE, "HKD"))
    about.cash["USD"] = [(MON, Decimal(1))]
    assert [(row.currency, row.cash) for row in rows(about, HKD)] == [("USD", Decimal(1)), ("HKD", Decimal(8))]


@pytest.mark.parametrize(("day", "known"), [(MON, True), (date(2024, 7, 6), True), (date(2024, 7, 7), False)])
def test_a_rate_serves_for_five_days(day: date, *, known: bool) -> None:
    assert (Rates([HKD]).of("U1", "HKD", "USD", day) is not None) is known
    assert Rates([HKD]).of("U1", "HKD", "USD", date(2024, 6, 30)) is None


def test_an_accounts_own_rate_comes_before_that_of_another_and_of_the_opposite_direction() -> None:
    other = Rate("U2", MON, "HKD", "USD", Decimal("0.126"))
    assert Rates([other, HKD]).of("U1", "HKD", "USD", MON) == Decimal("0.125")
    assert Rates([other]).of("U1", "HKD", "USD", MON) == Decimal("0.126")
    assert Rates([HKD]).of("100", "USD", "HKD", TUE) == 8


def test_fees_and_payments_of_a_day_without_a_row_count_on_the_next() -> None:
    about = facts(MON, NEXT_MON)
    about.cash["USD"] = [(MON, Decimal(100)), (SAT, Decimal(150))]
    about.flows[SAT].append(("USD", Decimal(50)))
    about.fees[NEXT_MON].append(("USD", Decimal(2)))
    first, second = rows(about)
    assert (first.net_flow, first.fees) == (Decimal(0), Decimal(0))
    assert (second.net_flow, second.fees, second.daily_return) == (Decimal(50), Decimal(2), Decimal(0))


def test_what_was_realized_is_taken_as_the_closings_converted_it() -> None:
    about = facts(MON)
    about.results["ACCOUNT", ""][MON] = [("HKD", Result(Decimal(80), Decimal(8), Decimal("10.4"), "USD"))]
    assert rows(about, HKD)[0].realized_pnl == Decimal("10.4")
    about.results["ACCOUNT", ""][MON] = [("HKD", Result(Decimal(80), Decimal(8), Decimal(9), "CHF"))]
    assert rows(about, HKD)[0].realized_pnl == Decimal(10)
    about.results["ACCOUNT", ""][MON] = [("HKD", Result(None, None, None, None))]
    assert rows(about, HKD)[0].realized_pnl is None


def test_a_strategy_has_rows_on_the_days_of_its_closings_with_its_own_success() -> None:
    about = facts(MON, TUE)
    about.results["STRATEGY", "SHORT_PUT"][TUE] = [("USD", Result(Decimal(7), Decimal(1), None, None))]
    about.trips["STRATEGY", "SHORT_PUT"] = {date.min: Trips(1, 1, 2), TUE: Trips(0, 1, 1), WED: Trips(1, 1, 1)}
    about.trips["ACCOUNT", ""] = {MON: Trips(1, 1, 1)}
    monday, _, strategy = rows(about)
    assert (strategy.scope, strategy.scope_id, strategy.business_date) == ("STRATEGY", "SHORT_PUT", TUE)
    assert (strategy.realized_pnl, strategy.fees, strategy.net_liquidation) == (Decimal(7), Decimal(1), None)
    assert (strategy.win_rate, strategy.total_trades) == (Decimal("0.5"), 3)
    assert (monday.win_rate, monday.total_trades) == (Decimal(1), 1)


def test_a_day_ends_where_the_broker_is() -> None:
    assert end_of_day(Broker.FUTU, MON) == datetime(2024, 7, 1, 15, 59, 59, tzinfo=UTC)
    assert end_of_day(Broker.IB, date(2024, 1, 2)) == datetime(2024, 1, 3, 4, 59, 59, tzinfo=UTC)
