"""Rates that trades tell, and bookings that take others back."""

from decimal import Decimal

import pytest

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.store.db import Database
from tests.brokers.ib.statements import ACCOUNT, STOCK
from tests.store.check_rows import compared, differences
from tests.store.rows import query
from tests.store.trade_rows import (
    FRI,
    MON,
    OTHER_ACCOUNT,
    TUE,
    booking,
    changed,
    execution,
    found,
    line,
    only,
    rate,
    set_right,
    tell,
    uid,
)

RATES = CheckName.RATES_OF_TRADES_ARE_THE_RATES_OF_THEIR_DAY
REVERSALS = CheckName.EVERY_REVERSAL_HAS_ITS_OPPOSITE
HONG_KONG = {**STOCK, "currency": "HKD", "symbol": "700", "conid": "152112941", "listingExchange": "SEHK"}
DIVIDEND, TAX = "Dividends", "Withholding Tax"


def traded(number: int, told: str, day: str = "20260302", **more: str) -> str:
    """A trade in Hong Kong dollars with this rate to US dollars."""
    usual = {"fxRateToBase": told, "tradeDate": day, "reportDate": day}
    return execution(number, "100", "3", HONG_KONG, **{**usual, **more})


# Rates -----------------------------------------------------------------------------------------------------------


def test_rates_of_the_day_and_one_of_the_base_agree_to_five_in_ten_thousand(db: Database) -> None:
    rates = [rate("20260302", "0.128"), rate("20260303", "0.130")]
    late = traded(4, "0.130", reportDate="20260303")
    tell(db, traded(1, "0.128"), traded(2, "0.128063"), execution(3, "1", "5"), late, ConversionRates=rates)
    assert found(db, RATES) == []
    assert compared(db, RATES, MON, FRI) == 4


def test_days_and_queries_without_rates_are_not_compared(db: Database) -> None:
    tell(db, traded(1, "0.5"))
    assert (found(db, RATES), compared(db, RATES, MON, FRI)) == ([], 0)
    tell(db, ConversionRates=[rate("20260303", "0.128")])
    assert (found(db, RATES), compared(db, RATES, MON, FRI)) == ([], 0)


def test_a_rate_of_one_of_the_trades_of_a_day_is_doubted(db: Database) -> None:
    tell(db, traded(1, "0.128"), traded(2, "0.1290"), ConversionRates=[rate("20260302", "0.128")])
    finding = only(db, RATES)
    assert (finding.subject, finding.business_date, finding.severity) == (uid(2), MON, Severity.WARN)
    assert (finding.expected, finding.actual, finding.cause) == (Decimal("0.128"), Decimal("0.129"), "FX")
    assert finding.evidence["rows"][0] == uid(2)
    assert changed(set_right(db, finding), "broker_trade_figures") == [{"fx_rate_to_base": "0.128"}]
    assert found(db, RATES) == []


def test_a_trade_in_the_base_currency_has_the_rate_one(db: Database) -> None:
    tell(db, execution(1, "1", "5", fxRateToBase="0.128"), ConversionRates=[rate("20260302", "0.128")])
    assert differences(found(db, RATES)) == [(uid(1), Decimal(1), Decimal("0.128"), "FX")]


@pytest.mark.parametrize(
    ("trades", "rates"),
    [
        ([traded(1, "0.128"), traded(2, "0.128")], [rate("20260302", "0.131")]),
        ([traded(1, "0.128", "20260303")], [rate("20260302", "0.128"), rate("20260303", "0.131")]),
    ],
    ids=["all trades of the day agree", "the day before agrees with the trade"],
)
def test_a_rate_of_the_day_that_its_trades_contradict_is_told_once(
    db: Database, trades: list[str], rates: list[str]
) -> None:
    tell(db, *trades, ConversionRates=rates)
    finding = only(db, RATES)
    assert (finding.subject, finding.business_date) == ("HKD to USD", MON if len(trades) == 2 else TUE)
    assert (finding.expected, finding.actual) == (Decimal("0.128"), Decimal("0.131"))
    assert finding.evidence["doubted"] == "the rate of the day"
    set_right(db, finding)
    assert found(db, RATES) == []


def test_the_rate_of_another_account_decides_for_a_single_trade(db: Database) -> None:
    tell(db, traded(1, "0.128"), ConversionRates=[rate("20260302", "0.131")])
    assert [one.subject for one in found(db, RATES)] == [uid(1)]
    query(db.url, "INSERT INTO conversion_rates SELECT 'R2', broker, %s, business_date, from_currency, to_currency, "
                  "0.128, source FROM conversion_rates", OTHER_ACCOUNT)  # fmt: skip
    assert [one.subject for one in found(db, RATES)] == ["HKD to USD"]


# Reversals -------------------------------------------------------------------------------------------------------


def cash(number: int) -> str:
    return f"IB_{ACCOUNT}_C{number}"


def test_a_dividend_that_is_taken_back_and_paid_anew_is_silent_and_was_compared(db: Database) -> None:
    tell(db, CashTransactions=[
        booking(1, DIVIDEND, "50"), booking(2, TAX, "-15"),
        booking(3, DIVIDEND, "-50", "20260303", description="AAPL CASH DIVIDEND USD 0.5 - REVERSAL"),
        booking(4, TAX, "15", "20260303"), booking(5, DIVIDEND, "60", "20260303"), booking(6, TAX, "-18", "20260303"),
    ])  # fmt: skip
    assert found(db, REVERSALS) == []
    assert compared(db, REVERSALS, MON, FRI) == 6


def test_what_a_short_position_pays_a_refund_and_interest_are_no_reversals(db: Database) -> None:
    tell(db, CashTransactions=[
        booking(1, "Payment In Lieu Of Dividends", "-50"), booking(2, TAX, "15", actionID=""),
        booking(3, "Broker Interest Paid", "-3", actionID=""), booking(4, "Other Fees", "10", actionID=""),
    ])  # fmt: skip
    assert found(db, REVERSALS) == []


def test_one_reversal_may_take_back_all_that_was_booked_of_its_action(db: Database) -> None:
    parted = [booking(1, DIVIDEND, "20"), booking(2, DIVIDEND, "30")]
    tell(db, CashTransactions=[*parted, booking(3, DIVIDEND, "-50", "20260303")])
    assert found(db, REVERSALS) == []


def test_a_reversal_without_its_opposite_is_told(db: Database) -> None:
    tell(db, CashTransactions=[booking(2, TAX, "-15"), booking(3, DIVIDEND, "-50", "20260303")])
    finding = only(db, REVERSALS)
    assert (finding.subject, finding.business_date, finding.currency) == (cash(9003), TUE, "USD")
    assert (finding.expected, finding.actual, finding.cause) == (50, 0, "MISSING_A")
    assert finding.severity is Severity.ERROR
    assert finding.evidence["rows"] == [cash(9003), f"cash_raw_ib/{ACCOUNT}/9003"]
    assert "set_right" not in finding.evidence


def test_what_is_booked_anew_on_the_same_day_is_not_what_was_taken_back(db: Database) -> None:
    tell(db, CashTransactions=[booking(3, DIVIDEND, "-50"), booking(4, DIVIDEND, "50"), booking(5, DIVIDEND, "-50")])
    assert [one.subject for one in found(db, REVERSALS)] == [cash(9003)]


def test_a_second_reversal_of_one_booking_is_told(db: Database) -> None:
    reversals = [booking(number, DIVIDEND, "-50", "20260303") for number in (2, 3)]
    tell(db, CashTransactions=[booking(1, DIVIDEND, "50"), *reversals])
    assert differences(found(db, REVERSALS)) == [(cash(9003), Decimal(50), Decimal(0), "DUPLICATE")]


def test_a_reversal_of_another_amount_is_told_with_what_was_booked(db: Database) -> None:
    taken_back = [booking(1, DIVIDEND, "50"), booking(2, DIVIDEND, "-55", "20260303")]
    tell(db, CashTransactions=taken_back, StmtFunds=[line(2, "-50", reportDate="20260303")])
    finding = only(db, REVERSALS)
    assert (finding.expected, finding.actual, finding.cause) == (55, 50, "CORRECTION")
    assert finding.evidence["booked_before"] == ["50"]
    set_right(db, finding)
    assert found(db, REVERSALS) == []


@pytest.mark.parametrize(
    "told", [{"actionID": ""}, {"dateTime": "20260220"}, {"description": "AAPL - REVERSAL"}],
    ids=["of no action", "dated before the history", "of an action that nothing else tells"],
)  # fmt: skip
def test_a_reversal_whose_original_may_lie_before_the_history_is_a_warning(db: Database, told: dict[str, str]) -> None:
    tell(db, CashTransactions=[booking(3, DIVIDEND, "-50", "20260303", **told)])
    assert [(one.subject, one.severity) for one in found(db, REVERSALS)] == [(cash(9003), Severity.WARN)]


def test_a_reversal_of_which_the_funds_know_nothing_is_nothing(db: Database) -> None:
    tell(db, execution(9, "1", "5"), CashTransactions=[booking(3, DIVIDEND, "-50")], StmtFunds=[line(9, "-6")])
    assert [one["do"] for one in set_right(db, only(db, REVERSALS))] == ["delete"]
    assert found(db, REVERSALS) == []


def test_a_reversal_agrees_with_an_original_that_only_the_funds_tell(db: Database) -> None:
    tell(db, CashTransactions=[booking(3, TAX, "15", "20260303")])
    assert only(db, REVERSALS).subject == cash(9003)
    # as a rehearsal inserts it: a line of funds tells neither type nor action
    insert = """INSERT INTO cash_movements (cash_uid, broker, account_id, broker_cash_id, booked_on, kind, amount,
                                            currency, symbol, source)
                SELECT %s, broker, account_id, '9001', %s, kind, -amount, currency, symbol, source
                FROM cash_movements"""
    query(db.url, insert, cash(9001), MON)
    assert found(db, REVERSALS) == []
    query(db.url, "UPDATE cash_movements SET kind = 'INTEREST' WHERE cash_uid = %s", cash(9001))
    assert only(db, REVERSALS).subject == cash(9003)


def test_a_sign_that_the_line_of_funds_contradicts_is_told_with_the_booking(db: Database) -> None:
    tell(db, CashTransactions=[booking(1, TAX, "-15"), booking(2, DIVIDEND, "-50")], StmtFunds=[line(2, "50")])
    finding = only(db, REVERSALS)
    assert (finding.subject, finding.expected, finding.actual) == (cash(9002), 50, -50)
    assert (finding.severity, finding.evidence["what"]) == (Severity.ERROR, "the line of funds has the other sign")
    assert changed(set_right(db, finding), "cash_movements") == [{"amount": "50"}]
    assert found(db, REVERSALS) == []


def test_an_amount_of_ours_is_that_of_its_record(db: Database) -> None:
    tell(db, CashTransactions=[booking(1, DIVIDEND, "50")])
    query(db.url, "UPDATE cash_movements SET amount = -50")
    assert differences(found(db, REVERSALS)) == [(cash(9001), Decimal(50), Decimal(-50), "PIPELINE")]
    set_right(db, only(db, REVERSALS))
    assert found(db, REVERSALS) == []


def test_days_without_bookings_are_not_compared(db: Database) -> None:
    tell(db, execution(1, "1", "5"))
    assert (found(db, REVERSALS), compared(db, REVERSALS, MON, FRI)) == ([], 0)
