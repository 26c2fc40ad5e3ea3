"""The checks of what was told: that final statements stay as they were, and that asked fees are answered."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import Finding
from apex_pipeline.store.db import Database
from tests.store import check_rows
from tests.store import coverage_book as book
from tests.store.check_rows import compared, differences, findings
from tests.store.coverage_book import FUTU, IB, fees_asked, moment, order, raw, told, write
from tests.store.rows import query

STAY = CheckName.TOLD_STATEMENTS_STAY_AS_THEY_WERE
FEES = CheckName.EVERY_FEE_THAT_WAS_ASKED_WAS_ANSWERED
MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2026, 3, day) for day in range(2, 7))
NEXT_MONDAY = date(2026, 3, 9)
WEEK = (MONDAY, FRIDAY)
TRADE: Mapping[str, Any] = {
    "tradeDate": "20260303", "reportDate": "20260303", "dateTime": "20260303;093000", "buySell": "BUY", "conid": "1",
    "quantity": "10", "tradePrice": "5.5", "proceeds": "-55", "netCash": "-56", "ibCommission": "-1", "currency": "USD",
    "settleDateTarget": "", "symbol": "KO",
}  # fmt: skip
CASH: Mapping[str, Any] = {"reportDate": "20260303", "amount": "7.25", "currency": "EUR", "type": "Dividends"}
FIRST, SECOND = moment(NEXT_MONDAY), moment(NEXT_MONDAY + timedelta(days=1))


# Final statements -----------------------------------------------------------------------------------------------


def stated(db: Database, at: datetime, *rows: tuple[str, str, Mapping[str, Any]], **values: Any) -> int:
    """A statement of the week that was made at some moment, with these records of Tuesday: kind, key, payload."""
    days = values.get("days", WEEK)
    load = told(db, days)
    query(db.url, "UPDATE load_coverage SET covered_at = %s WHERE load_id = %s", at, load)
    for kind, key, payload in rows:
        raw(db, load, kind, IB, key, TUESDAY, payload=payload, generated_at=at)
    sections = values.get("sections", ("Trades", "CashTransactions"))
    book.statement(db, load, days, at, *sections, query_name=values.get("query_name", "q"))
    return load


def differing(db: Database) -> list[Finding]:
    return findings(db, STAY, MONDAY, FRIDAY)


def changed(db: Database, before: Mapping[str, Any], after: Mapping[str, Any], kind: str = "trades") -> list[Finding]:
    """What is found where a record was told so, and later so."""
    stated(db, FIRST, (kind, "1", before))
    stated(db, SECOND, (kind, "1", after))
    return differing(db)


def test_a_statement_that_is_told_again_as_it_was_agrees(db: Database) -> None:
    assert changed(db, TRADE, TRADE) == []
    assert compared(db, STAY, MONDAY, FRIDAY) == 1


def test_nothing_is_compared_where_only_one_statement_tells_a_day(db: Database) -> None:
    stated(db, FIRST, ("trades", "1", TRADE))
    assert compared(db, STAY, MONDAY, FRIDAY) == 0


def test_a_changed_quantity_is_an_error_on_the_day_of_its_trade(db: Database) -> None:
    write(db, check_rows.trade("IB_U1_e1", 10, TUESDAY, broker_trade_id="1"))
    [found] = changed(db, TRADE, {**TRADE, "quantity": "12", "proceeds": "-66"})
    assert differences([found]) == [("trades_raw_ib/U1/1", Decimal(10), Decimal(12), "CORRECTION")]
    assert (found.business_date, found.severity, found.account_id) == (TUESDAY, Severity.ERROR, IB)
    assert found.evidence["changes"] == [
        {"field": "quantity", "told": "10", "later": "12"}, {"field": "proceeds", "told": "-55", "later": "-66"},
    ]  # fmt: skip
    assert found.evidence["rows"] == ["IB_U1_e1"]
    assert findings(db, STAY, WEDNESDAY) == []


@pytest.mark.parametrize(
    ("kind", "field", "later", "expected", "currency"),
    [
        ("trades", "tradePrice", "5.6", Decimal("5.5"), None),
        ("trades", "ibCommission", "-1.5", Decimal(-1), "USD"),
        ("trades", "buySell", "SELL", None, None),
        ("trades", "currency", "EUR", None, None),
        ("trades", "tradeDate", "20260304", None, None),
        ("trades", "dateTime", "20260303;103000", None, None),
        ("cash", "amount", "-7.25", Decimal("7.25"), "EUR"),
        ("cash", "type", "Withholding Tax", None, None),
    ],
)
def test_other_facts_that_change_are_errors(
    db: Database, kind: str, field: str, later: str, expected: Decimal | None, currency: str | None
) -> None:
    before = TRADE if kind == "trades" else CASH
    [found] = changed(db, before, {**before, field: later}, kind)
    assert (found.expected, found.severity, found.currency) == (expected, Severity.ERROR, currency)
    assert found.evidence["changes"] == [{"field": field, "told": before[field], "later": later}]


@pytest.mark.parametrize(
    "after",
    [
        {"quantity": "10.0", "tradePrice": "5.50"},
        {"symbol": "KO NEW", "fifoPnlRealized": "3", "notes": "P"},
        {"tradeDate": "2026-03-03", "dateTime": "2026-03-03, 09:30:00"},
        {"taxes": "-3"},
        {"settleDateTarget": "--"},
    ],
)
def test_forms_words_and_fields_of_another_query_are_no_change(db: Database, after: Mapping[str, Any]) -> None:
    assert changed(db, TRADE, {**TRADE, **after}) == []
    without = {name: text for name, text in TRADE.items() if name not in ("proceeds", "ibCommission")}
    stated(db, SECOND + timedelta(hours=1), ("trades", "1", without))
    assert differing(db) == []


@pytest.mark.parametrize(("field", "before"), [("settleDateTarget", ""), ("netCash", "0")])
def test_what_is_filled_in_later_is_a_warning(db: Database, field: str, before: str) -> None:
    [found] = changed(db, {**TRADE, field: before}, {**TRADE, "settleDateTarget": "20260304"})
    assert found.severity is Severity.WARN
    assert {"field": field, "told": before} == {k: found.evidence["changes"][0][k] for k in ("field", "told")}


def test_a_statement_of_a_day_that_was_not_over_may_change(db: Database) -> None:
    stated(db, datetime(2026, 3, 4, 10, tzinfo=UTC), ("trades", "1", TRADE))  # five in the morning in New York
    stated(db, SECOND, ("trades", "1", {**TRADE, "quantity": "12"}))
    assert differing(db) == []


def test_a_correction_that_is_taken_back_is_one_finding(db: Database) -> None:
    changed(db, TRADE, {**TRADE, "quantity": "12"})
    stated(db, SECOND + timedelta(hours=1), ("trades", "1", TRADE))
    assert differences(differing(db)) == [("trades_raw_ib/U1/1", Decimal(12), Decimal(10), "CORRECTION")]


def test_an_older_statement_that_arrives_late_is_compared_too(db: Database) -> None:
    stated(db, SECOND, ("trades", "1", TRADE))
    stated(db, FIRST, ("trades", "1", {**TRADE, "quantity": "12"}))
    assert differences(differing(db)) == [("trades_raw_ib/U1/1", Decimal(12), Decimal(10), "CORRECTION")]


def test_a_trade_that_a_later_statement_leaves_out_is_gone_and_its_rows_are_what_to_remove(db: Database) -> None:
    write(db, check_rows.trade("IB_U1_e1", 10, TUESDAY, broker_trade_id="1"))
    stated(db, FIRST, ("trades", "1", TRADE), ("trades", "2", TRADE))
    stated(db, SECOND, ("trades", "2", TRADE))
    [found] = differing(db)
    assert differences([found]) == [("trades_raw_ib/U1/1", Decimal(10), Decimal(0), "CORRECTION")]
    assert (found.business_date, found.severity, found.evidence["what"]) == (TUESDAY, Severity.ERROR, "gone")
    assert found.evidence["missing_in"] == {"query": "q", "from": "2026-03-02", "to": "2026-03-06"}
    assert found.evidence["set_right"] == [
        {"do": "delete", "table": "trades_norm", "key": {"trade_uid": "IB_U1_e1"}}
    ]  # fmt: skip


def test_a_booking_that_a_later_statement_leaves_out_is_gone(db: Database) -> None:
    stated(db, FIRST, ("cash", "1", CASH))
    stated(db, SECOND)
    [found] = differing(db)
    assert (found.subject, found.expected, found.actual, found.currency) == (
        "cash_raw_ib/U1/1", Decimal("7.25"), Decimal(0), "EUR",
    )  # fmt: skip


@pytest.mark.parametrize(
    "later",
    [
        {"days": (WEDNESDAY, FRIDAY)},
        {"sections": ("CashTransactions",)},
        {"query_name": "another"},
    ],
)
def test_what_the_later_statement_is_not_about_is_not_gone(db: Database, later: Mapping[str, Any]) -> None:
    stated(db, FIRST, ("trades", "1", TRADE))
    stated(db, SECOND, **later)
    assert differing(db) == []


def test_a_trade_reported_after_the_days_of_the_later_statement_is_not_gone(db: Database) -> None:
    stated(db, FIRST, ("trades", "1", {**TRADE, "reportDate": "20260305"}))
    stated(db, SECOND, days=(TUESDAY, WEDNESDAY))
    assert differing(db) == []
    stated(db, SECOND + timedelta(hours=1), days=(TUESDAY, THURSDAY))
    assert len(differing(db)) == 1


def test_records_without_an_id_and_quarantined_ones_are_not_gone(db: Database) -> None:
    stated(db, FIRST, ("trades", "1", TRADE), ("trades", "H0123456789abcdef-1", TRADE))
    stated(db, SECOND)
    query(
        db.url,
        "INSERT INTO quarantine VALUES ('Q', 'ingest', 'IB', 'trades', %s, '1', NULL, 'bad', 'bad', '{}', NULL, now())",
        IB,
    )
    assert differing(db) == []


# Fees of Futu ---------------------------------------------------------------------------------------------------


def an_order(db: Database, key: str = "o", *, answered: bool = False) -> None:
    """An order of Monday that was filled on Tuesday."""
    write(db, order(key, MONDAY))
    fill = {"broker": Broker.FUTU, "account_id": FUTU, "order_uid": f"FUTU_{FUTU}_{key}", "source": "futu_deals"}
    write(db, check_rows.trade(f"FUTU_{FUTU}_d{key}", 10, TUESDAY, **fill))
    if answered:
        raw(db, book.loaded(db, "futu_fees", WEEK), "fees", FUTU, key, MONDAY, payload={})


def test_fees_that_were_answered_agree_and_count(db: Database) -> None:
    an_order(db, answered=True)
    fees_asked(db, FRIDAY, ["o"], 1)
    assert findings(db, FEES, MONDAY, FRIDAY) == []
    assert (compared(db, FEES, MONDAY), compared(db, FEES, TUESDAY, FRIDAY)) == (1, 0)


def test_an_order_that_was_asked_for_and_not_answered_is_named_once(db: Database) -> None:
    an_order(db)
    fees_asked(db, FRIDAY, ["o", "other"], 1)
    load = fees_asked(db, NEXT_MONDAY, ["o", "other"], 1)
    [found] = findings(db, FEES, MONDAY, FRIDAY)
    assert differences([found]) == [("FUTU_100_o", Decimal(1), Decimal(0), "MISSING_A")]
    assert (found.business_date, found.account_id, found.severity) == (MONDAY, FUTU, Severity.ERROR)
    told = {name: found.evidence[name] for name in ("times_asked", "load_id", "answer", "filled_on")}
    assert told == {"times_asked": 2, "load_id": load, "answer": "1 of 2 fees", "filled_on": "2026-03-03"}
    assert found.evidence["rows"] == ["FUTU_100_o", "FUTU_100_do"]


def test_an_answer_that_told_every_fee_was_lost_by_us(db: Database) -> None:
    an_order(db)
    fees_asked(db, FRIDAY, ["o", "other"], 2)
    assert differences(findings(db, FEES, MONDAY))[0][3] == "PIPELINE"


def test_a_fee_that_was_asked_for_within_two_weekdays_of_the_fill_may_be_late(db: Database) -> None:
    an_order(db)
    fees_asked(db, TUESDAY, ["o"], 0, received_at=moment(WEDNESDAY))
    assert findings(db, FEES, MONDAY) == []
    fees_asked(db, TUESDAY, ["o"], 0, received_at=moment(THURSDAY))
    assert len(findings(db, FEES, MONDAY)) == 1


def test_orders_without_fills_or_before_2018_or_of_another_account_have_no_answer_to_miss(db: Database) -> None:
    old = date(2017, 12, 29)
    write(db, order("empty", MONDAY, 0), order("old", old))
    write(db, order("theirs", MONDAY, account_id="200", order_uid="FUTU_200_theirs"))
    fees_asked(db, FRIDAY, ["empty", "old", "theirs"], 0)
    assert findings(db, FEES, old, FRIDAY) == []
    assert compared(db, FEES, old, FRIDAY) == 0


def test_a_request_of_more_ids_than_futu_answers_is_an_error(db: Database) -> None:
    an_order(db, answered=True)
    fees_asked(db, FRIDAY, ["o", *map(str, range(399))], 400)
    assert findings(db, FEES, MONDAY, FRIDAY) == []
    fees_asked(db, FRIDAY, ["o", *map(str, range(400))], 401)
    [found] = findings(db, FEES, MONDAY, FRIDAY)
    assert (found.business_date, found.expected, found.actual, found.cause) == (MONDAY, 400, 401, "PIPELINE")


# What the first word would make -----------------------------------------------------------------------------------


def test_what_was_told_first_is_tried_where_each_changed_field_makes_a_column(db: Database) -> None:
    check_rows.write(db, check_rows.trade("IB_U1_1", 10, TUESDAY, broker_trade_id="1"))
    (found,) = changed(db, TRADE, {**TRADE, "tradePrice": "6.5", "tradeDate": "20260304"})
    proposed = {frozenset(one["row"]): one["row"] for one in found.evidence["set_right"]}
    assert proposed[frozenset({"trade_date", "price", "amount"})]["price"] == "5.5"
    assert proposed[frozenset({"trade_date"})]["trade_date"] == "2026-03-03"
    assert {one["key"]["trade_uid"] for one in found.evidence["set_right"]} == {"IB_U1_1"}


def test_nothing_is_tried_where_a_changed_field_makes_no_single_column(db: Database) -> None:
    check_rows.write(db, check_rows.trade("IB_U1_1", 10, TUESDAY, broker_trade_id="1"))
    (found,) = changed(db, TRADE, {**TRADE, "tradePrice": "6.5", "buySell": "SELL"})
    assert "set_right" not in found.evidence
