"""Lines of the statement of funds without an id: one line is one, whatever statements tell it and in which order."""

import random
from collections.abc import Sequence
from datetime import date

import pytest

from apex_pipeline.brokers.ib.identity import is_summary
from apex_pipeline.brokers.ib.normalize import normalize
from apex_pipeline.brokers.ib.unnumbered import content_of_line
from apex_pipeline.domain.records import Record
from apex_pipeline.domain.statements import FundsLine
from tests.brokers.ib.sections import made_of, records_in
from tests.brokers.ib.statements import ACCOUNT, delivered, document, row, statement

TAG = "StatementOfFundsLine"
MARGIN = {
    "accountId": ACCOUNT, "currency": "USD", "levelOfDetail": "Currency", "assetCategory": "FUT", "symbol": "ESH6",
    "conid": "495512563", "listingExchange": "CME", "multiplier": "50", "expiry": "20260320", "reportDate": "20260304",
    "date": "20260304", "settleDate": "20260304", "activityCode": "FUTMTM", "activityDescription": "Cash settling MTM",
    "amount": "125", "balance": "1125", "tradeID": "", "transactionID": "",
}  # fmt: skip
BALANCE = {
    "accountId": ACCOUNT, "currency": "USD", "levelOfDetail": "Currency", "reportDate": "20260302", "date": "20260302",
    "activityDescription": "Starting Balance", "amount": "0", "balance": "1000", "activityCode": "", "symbol": "",
    "conid": "", "transactionID": "",
}  # fmt: skip
WEEK = ("20260302", "20260306")


def line(*, without: Sequence[str] = (), **changes: str) -> str:
    return row(MARGIN, tag=TAG, without=without, **changes)


def told(*lines: str, days: tuple[str, str] = WEEK, written: str = "20260309;050000", **changes: str) -> list[Record]:
    """The records of a statement of these days, with its balances."""
    frame = (
        row(BALANCE, tag=TAG, reportDate=days[0]),
        row(BALANCE, tag=TAG, reportDate=days[1], activityDescription="Ending Balance"),
    )
    body = "".join((frame[0], *lines, frame[1]))
    return records_in(body, "StmtFunds", fromDate=days[0], toDate=days[1], whenGenerated=written, **changes)


def moved(*statements: Sequence[Record]) -> list[FundsLine]:
    """The lines that move cash, of these statements as they came in."""
    made = normalize([record for records in statements for record in records])
    assert made.rejects == []
    return sorted((one for one in made.statements.broker_funds if one.from_date is None), key=lambda one: one.line_uid)


def test_statements_of_other_days_tell_the_same_line_once() -> None:
    month = told(line(), days=("20260202", "20260306"), written="20260310;050000")
    day = told(line(balance="999"), days=("20260304", "20260304"))
    (one,) = moved(month, told(line()), day)
    assert (one.business_date, one.amount, one.balance) == (date(2026, 3, 4), 125, 1125)
    assert (one.from_date, one.to_date) == (None, None)


def test_two_equal_lines_of_one_statement_are_two() -> None:
    both = told(line(), line(balance="1250"))
    assert [int(one.amount or 0) for one in moved(both)] == [125, 125]
    assert moved(both, told(line(), line(balance="1250"), days=("20260304", "20260304"))) == moved(both)


@pytest.mark.parametrize("seed", range(6))
def test_the_order_and_repetition_of_statements_changes_nothing(seed: int) -> None:
    days = [f"2026030{number}" for number in range(2, 7)]
    lines = {day: (line(reportDate=day, date=day), line(reportDate=day, date=day, amount="-3")) for day in days}
    windows = [(first, last) for first in days for last in days if first <= last]
    statements = [told(*(one for day in days if a <= day <= b for one in lines[day]), days=(a, b)) for a, b in windows]
    dice = random.Random(seed)
    statements += dice.sample(statements, 4)
    expected = moved(told(*(one for day in days for one in lines[day])))
    dice.shuffle(statements)
    assert len(expected) == 10
    assert moved(*statements) == expected


def test_what_the_newest_statement_of_a_day_no_longer_tells_is_gone() -> None:
    old = told(line(), line(amount="7", activityDescription="x"))
    corrected = told(line(amount="130"), days=("20260304", "20260304"), written="20260310;050000")
    assert [int(one.amount or 0) for one in moved(corrected, old)] == [130]
    emptied = told(days=("20260303", "20260305"), written="20260310;050000")
    assert moved(old, emptied) == moved(emptied, old) == []
    beside = told(days=("20260305", "20260306"), written="20260310;050000")
    assert len(moved(old, beside)) == 2


def test_an_empty_section_takes_back_what_was_told_and_a_query_without_the_section_does_not() -> None:
    written = {"fromDate": "20260304", "toDate": "20260304", "whenGenerated": "20260310;050000"}
    assert moved(told(line()), records_in("", "StmtFunds", **written)) == []
    assert len(moved(told(line()), records_in("", "CashReport", **written))) == 1


def test_lines_in_the_base_currency_say_nothing_about_those_of_currencies() -> None:
    base = row(BALANCE, tag=TAG, levelOfDetail="BaseCurrency") + line(levelOfDetail="BaseCurrency", currency="EUR")
    only_base = records_in(base, "StmtFunds", whenGenerated="20260310;050000")
    assert [one.level for one in moved(told(line()), only_base)] == ["Currency"]
    made = made_of(only_base).statements.broker_funds
    assert {one.from_date for one in made} == {date(2026, 3, 2)}


def test_an_element_that_no_rule_knows_is_no_line_and_takes_none_away() -> None:
    strange = records_in(row(MARGIN, tag="Novelty"), "StmtFunds", whenGenerated="20260310;050000")
    assert len(moved(told(line()), strange)) == 1
    assert len(strange) == 1


def test_each_account_of_a_file_has_its_own_lines() -> None:
    other = {"accountId": "U2000002"}
    both = document(
        statement(line() + row(BALANCE, tag=TAG), section="StmtFunds"),
        statement(line(**other) + row(BALANCE, tag=TAG, **other), section="StmtFunds", **other),
    )
    made = moved(list(delivered(both).records))
    assert sorted(one.account_id for one in made) == [ACCOUNT, "U2000002"]
    gone = told(days=("20260304", "20260304"), written="20260310;050000")
    assert [one.account_id for one in moved(list(delivered(both).records), gone)] == ["U2000002"]


def test_a_segment_is_an_account_of_its_own() -> None:
    futures = {"accountId": f"{ACCOUNT}F"}
    mixed = told(line(), line(**futures), row(BALANCE, tag=TAG, **futures))
    assert len(moved(mixed)) == 2
    later = told(line(), row(BALANCE, tag=TAG, **futures), written="20260310;050000")
    assert [one.account_id for one in moved(mixed, later)] == [ACCOUNT]


def test_balances_belong_to_their_statement() -> None:
    made = made_of(told(line())).statements.broker_funds
    framed = [one for one in made if one.from_date is not None]
    assert sorted(one.description or "" for one in framed) == ["Ending Balance", "Starting Balance"]
    assert not is_summary("StmtFunds", TAG, MARGIN)
    assert not is_summary("StmtFunds", TAG, {**BALANCE, "activityDescription": "Anfang", "amount": "3"})
    assert is_summary("StmtFunds", TAG, {**BALANCE, "activityDescription": "Anfang", "amount": "0.00"})
    assert is_summary("StmtFunds", TAG, {**BALANCE, "amount": "1000"})


def test_how_dates_and_numbers_are_written_and_the_running_balance_identify_nothing() -> None:
    same = {**MARGIN, "date": "2026-03-04", "settleDate": "04/03/2026", "amount": "125.00", "balance": "7"}
    assert content_of_line(MARGIN, "") == content_of_line(same, "dmy")
    credited = {**MARGIN, "amount": "", "credit": "125"}
    assert content_of_line(MARGIN, "") == content_of_line(credited, "")
    for name, value in (("amount", "126"), ("settleDate", "20260305"), ("conid", "7"), ("currency", "EUR"),
                        ("levelOfDetail", ""), ("activityCode", "ADJ"), ("activityDescription", "x"),
                        ("tradeID", "3")):  # fmt: skip
        assert content_of_line(MARGIN, "") != content_of_line({**MARGIN, name: value}, "")


def test_a_line_of_a_day_that_its_statement_does_not_tell_whole_takes_no_other_away() -> None:
    undated = line(without=["reportDate"])
    alone = told(undated, days=("20260305", "20260305"), written="20260311;050000")
    whole = told(line(), line(amount="-9"))
    assert moved(whole, alone) == moved(whole)
    (one,) = moved(alone)
    assert one.line_uid in {other.line_uid for other in moved(whole)}


def test_a_line_that_cannot_be_read_takes_no_other_with_it() -> None:
    made = normalize(told(line(), line(amount="1,5")))
    assert [one.amount for one in made.statements.broker_funds if one.from_date is None] == [125]
    assert [one.reason_code for one in made.rejects] == ["bad_number"]


def test_records_kept_under_the_days_of_their_statement_are_read_no_more() -> None:
    payload = {**MARGIN, "_section": "StmtFunds", "_tag": TAG, "_from": "2026-03-02", "_to": "2026-03-06"}
    old = Record(told()[0].kind, ACCOUNT, "StmtFunds/2026-03-02/2026-03-06/x#1", date(2026, 3, 6), payload)
    assert made_of([old]).statements.broker_funds == []
    dateless = Record(old.kind, ACCOUNT, old.key, old.business_date, {**payload, "reportDate": "", "date": ""})
    assert len(made_of([dateless]).statements.broker_funds) == 1
