"""The broker's equity is its lines, our cash and our positions, and the cash that is settled is what it says."""

from datetime import date, timedelta
from typing import Any

import pytest

from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import Finding
from apex_pipeline.store.db import Database
from tests.store.check_rows import ACCOUNT, CONID, compared, differences, findings, snapshot
from tests.store.rows import query
from tests.store.value_rows import cash_state, entry, equity, held, put, rate, report, settling, valued

EQUITY, SETTLED = CheckName.NET_LIQUIDATION_EQUALS_EQUITY, CheckName.SETTLED_CASH_EQUALS_THE_BROKERS
MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2026, 3, day) for day in range(2, 7))


def an_equity(db: Database, day: date, told: dict[str, str] | None = None, *, theirs: str = "500") -> None:
    """1000 in cash and ten shares at 50: told by the broker, and known to us."""
    equity(db, day, told, cash="1000", stock="500", dividendAccruals="3")
    valued(db, day, "1000", "500")
    cash_state(db, day, "1000")
    held(db, day, 10, "50", "500", theirs)
    snapshot(db, Broker.IB, day)


def of_equity(db: Database, first: date, last: date | None = None) -> list[tuple[str, str, str, str | None]]:
    """Subject, expected, actual and cause."""
    return [(one.subject, str(one.expected), str(one.actual), one.cause) for one in findings(db, EQUITY, first, last)]


def test_an_equity_in_another_currency_than_the_rates_of_its_day_lead_to_is_told(db: Database) -> None:
    an_equity(db, MONDAY)
    rate(db, MONDAY, "HKD", "0.128")
    assert findings(db, EQUITY, MONDAY) == []
    query(db.url, "UPDATE broker_figures SET currency = 'EUR'")
    [found] = [one for one in findings(db, EQUITY, MONDAY) if one.subject.endswith(" currency")]
    assert (found.cause, found.currency, found.evidence["base_currency"]) == ("REFERENCE_DATA", "EUR", "USD")
    assert found.evidence["set_right"][0]["row"]["currency"] == "USD"


# Equity: the broker's own lines ---------------------------------------------------------------------------------


def test_an_equity_that_is_its_lines_our_cash_and_our_positions_is_no_finding(db: Database) -> None:
    an_equity(db, MONDAY)
    an_equity(db, TUESDAY)
    assert findings(db, EQUITY, MONDAY, TUESDAY) == []
    assert compared(db, EQUITY, MONDAY, TUESDAY) == 6
    assert (CHECKS[EQUITY].check_id, CHECKS[EQUITY].severity) == ("D09", Severity.ERROR)


def test_a_total_that_its_lines_do_not_make_is_told_once_with_what_would_mend_it(db: Database) -> None:
    """The total is wrong, because its halves and the other lines agree; our cash and positions are not blamed."""
    an_equity(db, MONDAY, {"total": "1553"})
    [found] = findings(db, EQUITY, MONDAY)
    assert found.subject == f"IB_{ACCOUNT}_EquitySummaryInBase/{MONDAY}:USD: own components"
    assert (str(found.expected), str(found.actual), found.currency) == ("1553", "1503", "USD")
    assert (found.severity, found.cause, found.business_date) == (Severity.ERROR, None, MONDAY)
    assert found.evidence["line"] == "total"
    assert found.evidence["rows"] == [f"broker_figures/IB_{ACCOUNT}_EquitySummaryInBase/{MONDAY}:USD:"]
    [change] = found.evidence["set_right"]
    assert (change["do"], change["table"], change["row"]["figures"]["total"]) == ("update", "broker_figures", "1503")


def test_a_line_and_a_total_that_agree_but_not_with_their_halves_are_told(db: Database) -> None:
    an_equity(db, MONDAY, {"stock": "550", "total": "1553"})
    [found] = findings(db, EQUITY, MONDAY)
    assert differences([found]) == [(found.subject, 1553, 1503, None)]
    assert {name: told for name, told in found.evidence["set_right"][0]["row"]["figures"].items() if told == "500"} == {
        "stock": "500", "stockLong": "500",
    }  # fmt: skip


def test_a_line_that_no_rule_knows_is_a_warning_on_its_first_day_only(db: Database) -> None:
    new = {"carbon": "7", "carbonLong": "7", "carbonShort": "0", "total": "1510", "totalLong": "1510"}
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        an_equity(db, day, new if day > MONDAY else None)
    [found] = findings(db, EQUITY, MONDAY, WEDNESDAY)
    assert (found.severity, found.cause, found.business_date) == (Severity.WARN, "REFERENCE_DATA", TUESDAY)
    assert found.evidence["unknown_lines"] == {"carbon": "7"}


@pytest.mark.parametrize("sweep", ["0", "400"], ids=["in the cash", "beside the cash"])
def test_the_sweep_to_insured_banks_counts_once(db: Database, sweep: str) -> None:
    """Its cash and ours agree, whether the sweep is a part of the cash or stands beside it."""
    equity(db, MONDAY, {"fdicInsuredBankSweepAccount": "400", "brokerCashComponent": "600", "notes": "0"}, cash="1000")
    valued(db, MONDAY, "1000")
    if sweep == "400":
        equity(db, TUESDAY, {"cash": "600", "cashLong": "600", "fdicInsuredBankSweepAccount": "400"}, cash="1000")
        valued(db, TUESDAY, "1000")
    assert findings(db, EQUITY, MONDAY, TUESDAY) == []


def test_a_query_that_asks_for_some_lines_only_says_nothing_of_the_sum(db: Database) -> None:
    figures = {"total": "261234.56", "cash": "10"}
    put(
        db, "broker_figures", figures_uid="x", broker="IB", account_id=ACCOUNT, business_date=MONDAY, to_date=MONDAY,
        section="EquitySummaryInBase", subject="", figures=figures, source="FLEX",
    )  # fmt: skip
    assert findings(db, EQUITY, MONDAY) == []
    assert compared(db, EQUITY, MONDAY) == 0


# Equity: ours -----------------------------------------------------------------------------------------------------


def test_cash_that_is_not_ours_is_told_on_the_day_on_which_it_appears(db: Database) -> None:
    """The ledger of cash lacks what came on Tuesday; another 200 are lacking from Thursday on."""
    for day, told in ((MONDAY, "1000"), (TUESDAY, "1100"), (WEDNESDAY, "1100"), (THURSDAY, "1300")):
        equity(db, day, cash=told)
        valued(db, day, "1000")
        cash_state(db, day, "1000")
    assert of_equity(db, MONDAY, THURSDAY) == [
        (f"{ACCOUNT} cash", "1100", "1000", None), (f"{ACCOUNT} cash", "1300", "1000", None),
    ]  # fmt: skip
    assert [one.business_date for one in findings(db, EQUITY, MONDAY, THURSDAY)] == [TUESDAY, THURSDAY]
    assert of_equity(db, WEDNESDAY) == []


def test_where_a_cash_report_disagrees_the_check_of_ending_cash_speaks(db: Database) -> None:
    equity(db, TUESDAY, cash="1100")
    valued(db, TUESDAY, "1000")
    cash_state(db, TUESDAY, "1000")
    report(db, MONDAY, FRIDAY, "1100")
    assert findings(db, EQUITY, TUESDAY) == []


def test_a_cash_report_that_agrees_in_the_end_does_not_hide_the_days_before(db: Database) -> None:
    equity(db, TUESDAY, cash="1100")
    valued(db, TUESDAY, "1000")
    cash_state(db, TUESDAY, "1000")
    cash_state(db, THURSDAY, "1100")
    report(db, MONDAY, FRIDAY, "1100")
    assert of_equity(db, TUESDAY) == [(f"{ACCOUNT} cash", "1100", "1000", None)]


def test_the_rounding_of_a_rate_is_no_difference_and_its_value_is(db: Database) -> None:
    """A million at 0.12866, which may be anything between 0.128655 and 0.128665."""
    equity(db, MONDAY, cash="128664.9")
    valued(db, MONDAY, "128660")
    cash_state(db, MONDAY, "1000000", currency="HKD")
    rate(db, MONDAY, "HKD", "0.12866")
    assert findings(db, EQUITY, MONDAY) == []
    query(db.url, "UPDATE conversion_rates SET rate = 0.128660")
    assert [one.subject for one in findings(db, EQUITY, MONDAY)] == [f"{ACCOUNT} cash"]
    query(db.url, "DELETE FROM conversion_rates")
    assert findings(db, EQUITY, MONDAY) == []


def test_a_value_that_is_older_than_the_cash_below_it_is_of_the_pipeline(db: Database) -> None:
    equity(db, MONDAY, cash="1000")
    valued(db, MONDAY, "900")
    cash_state(db, MONDAY, "1000")
    assert of_equity(db, MONDAY) == [(f"{ACCOUNT} cash", "1000", "900", "PIPELINE")]


def test_positions_worth_another_sum_name_the_one_that_differs_once(db: Database) -> None:
    """Ten contracts whose multiplier we have wrong: the difference moves with the price, but it is one fault."""
    for day, mark in ((MONDAY, 5), (TUESDAY, 8)):
        equity(db, day, cash="0", options=str(mark * 1000))
        valued(db, day, "0", str(mark * 100))
        held(db, day, 10, str(mark), str(mark * 100), str(mark * 1000), asset_class="OPTION")
        snapshot(db, Broker.IB, day)
    [found] = findings(db, EQUITY, MONDAY, TUESDAY)
    assert differences([found]) == [(f"{ACCOUNT} positions", 5000, 500, "REFERENCE_DATA")]
    assert found.evidence["rows"][1:] == [f"positions_daily/{MONDAY}/{ACCOUNT}/{CONID}"]
    assert found.evidence["our_lines"] == {"options": "500"}
    assert compared(db, EQUITY, MONDAY, TUESDAY) == 6


def test_days_on_which_another_quantity_is_held_are_of_the_check_of_positions(db: Database) -> None:
    """On Friday the broker still tells an option that ended."""
    equity(db, FRIDAY, cash="1000", stock="500", options="1")
    valued(db, FRIDAY, "1000", "500")
    held(db, FRIDAY, 10, "50", "500", "500")
    put(
        db, "broker_positions", business_date=FRIDAY, broker="IB", account_id=ACCOUNT, broker_position_id="7", qty=1,
        symbol="US.KO 2026-03-06 C 70", asset_class="OPTION", as_of=FRIDAY, source="FLEX",
    )  # fmt: skip
    snapshot(db, Broker.IB, FRIDAY)
    assert findings(db, EQUITY, FRIDAY) == []
    assert compared(db, EQUITY, FRIDAY) == 2


# Settled cash ---------------------------------------------------------------------------------------------------


def of_cash(db: Database, first: date, last: date | None = None) -> list[Finding]:
    return findings(db, SETTLED, first, last)


def sold(db: Database, settles: date, **columns: Any) -> None:
    """Shares sold on Thursday for 500; 1000 were there before."""
    entry(db, "T1:TRADE", THURSDAY, settles, "500", trade_uid="T1", **columns)
    cash_state(db, THURSDAY, "1500", "1500" if settles <= THURSDAY else "1000")


def test_settled_cash_that_is_the_brokers_is_no_finding(db: Database) -> None:
    sold(db, FRIDAY)
    report(db, MONDAY, THURSDAY, "1500", "1000")
    assert of_cash(db, THURSDAY) == []
    assert compared(db, SETTLED, THURSDAY) == 1
    assert (CHECKS[SETTLED].check_id, CHECKS[SETTLED].severity) == ("D11", Severity.ERROR)


def test_cash_that_settles_on_another_day_names_the_entry(db: Database) -> None:
    sold(db, THURSDAY)
    report(db, MONDAY, THURSDAY, "1500", "1000")
    [found] = of_cash(db, MONDAY, FRIDAY)
    assert differences([found]) == [(f"{ACCOUNT} USD", 1000, 1500, "TIMING")]
    assert (found.currency, found.severity, found.business_date) == ("USD", Severity.ERROR, THURSDAY)
    assert found.evidence["rows"][1] == "T1:TRADE"
    assert (found.evidence["unsettled"], found.evidence["ours_unsettled"]) == ("500", "0")


def test_commissions_may_be_settled_at_once(db: Database) -> None:
    """As statements of real accounts tell it: the proceeds are pending, the commission is not."""
    sold(db, FRIDAY)
    entry(db, "T1:FEE", THURSDAY, FRIDAY, "-4", "FEE", trade_uid="T1")
    query(db.url, "UPDATE cash_account_state SET total_cash = 1496")
    report(db, MONDAY, THURSDAY, "1496", "996")
    assert of_cash(db, THURSDAY) == []
    query(db.url, "UPDATE broker_figures SET figures = figures || '{\"endingSettledCash\": 990}'")
    assert differences(of_cash(db, THURSDAY)) == [(f"{ACCOUNT} USD", 990, 1000, "TIMING")]


def test_nobody_tells_when_the_money_of_a_corporate_action_settles(db: Database) -> None:
    sold(db, THURSDAY)
    query(db.url, "UPDATE cash_ledger SET kind = 'CORPORATE_ACTION'")
    report(db, MONDAY, THURSDAY, "1500", "1000")
    assert of_cash(db, THURSDAY) == []


def test_where_the_whole_cash_differs_the_check_of_ending_cash_speaks(db: Database) -> None:
    sold(db, THURSDAY)
    report(db, MONDAY, THURSDAY, "1600", "1000")
    assert of_cash(db, THURSDAY) == []
    assert compared(db, SETTLED, THURSDAY) == 0


def test_where_the_broker_told_another_date_the_check_of_settlement_dates_speaks(db: Database) -> None:
    sold(db, THURSDAY)
    settling(db, "T1", THURSDAY, THURSDAY, FRIDAY)
    report(db, MONDAY, THURSDAY, "1500", "1000")
    assert of_cash(db, THURSDAY) == []


def test_a_difference_that_stays_is_told_once(db: Database) -> None:
    sold(db, THURSDAY)
    cash_state(db, FRIDAY, "1700", "1700")
    report(db, MONDAY, THURSDAY, "1500", "1000")
    report(db, FRIDAY, FRIDAY, "1700", "1200")
    assert [one.business_date for one in of_cash(db, MONDAY, FRIDAY)] == [THURSDAY]
    assert of_cash(db, FRIDAY) == []


def test_what_was_pending_before_the_first_day_may_still_be(db: Database) -> None:
    """The opening balance counts as settled; the trades in it are not known."""
    sold(db, THURSDAY)
    entry(db, f"{ACCOUNT}:USD:OPENING", MONDAY, MONDAY, "1000", "OPENING")
    report(db, TUESDAY, THURSDAY, "1500", "1000")
    assert of_cash(db, THURSDAY) == []
    assert compared(db, SETTLED, THURSDAY) == 0
    query(db.url, "UPDATE cash_ledger SET booked_on = %s WHERE kind = 'OPENING'", THURSDAY - timedelta(days=10))
    assert len(of_cash(db, THURSDAY)) == 1
