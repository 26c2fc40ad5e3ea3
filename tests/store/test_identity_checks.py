"""One execution is one trade of one account, and what was taken back does not count: told otherwise it is a finding."""

from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.domain.models import Broker
from apex_pipeline.store.db import Database
from tests.brokers import futu_rows as futu
from tests.brokers.ib.statements import ACCOUNT, STOCK
from tests.store.check_rows import compared, differences
from tests.store.rows import query
from tests.store.trade_rows import (
    CONVERSION,
    FRI,
    MON,
    OTHER_ACCOUNT,
    TUE,
    cancel,
    changed,
    exec_id,
    execution,
    found,
    line,
    only,
    set_right,
    tell,
    tell_futu,
    uid,
)

TWICE = CheckName.NO_TRADE_IS_TOLD_TWICE
TAKEN_BACK = CheckName.EVERY_CANCEL_HAS_ITS_TRADE
THERE = {**STOCK, "accountId": OTHER_ACCOUNT}
COPY = "INSERT INTO trades_norm SELECT (jsonb_populate_record(t, %s::jsonb)).* FROM trades_norm t WHERE trade_uid = %s"


def rebooked(*, names: bool = True, **told: str) -> list[str]:
    """A purchase, its cancel and its rebook at another price."""
    old = {} if names else {"origTransactionID": ""}
    return [
        execution(1, "10", "20"),
        cancel(2, 1, "10", "20", **old),
        execution(3, "10", "21", tradeID="71001", ibExecID=exec_id(1, 2), fee="0", **told),
    ]


# The same execution ----------------------------------------------------------------------------------------------


def test_equal_fills_under_their_own_ids_are_two_and_were_compared(db: Database) -> None:
    tell(db, execution(1, "10", "20"), execution(2, "10", "20"))
    tell_futu(db, futu.order(), futu.deal("1"), futu.deal("2"))
    assert found(db, TWICE) == []
    assert compared(db, TWICE, MON, FRI) == 4


def test_the_number_of_another_trade_in_another_account_is_no_duplicate(db: Database) -> None:
    tell(db, execution(1, "10", "20"), execution(1, "11", "20", THERE))
    assert found(db, TWICE) == []


@pytest.mark.parametrize("names", [True, False])
def test_a_cancel_and_a_rebook_are_silent(db: Database, names: bool) -> None:
    tell(db, *rebooked(names=names))
    assert found(db, TWICE) == found(db, TAKEN_BACK) == []
    assert compared(db, TAKEN_BACK, MON, FRI) == 2


def test_a_stored_copy_under_another_name_is_the_row_too_many(db: Database) -> None:
    tell(db, execution(1, "10", "20"))
    query(db.url, COPY, '{"trade_uid": "IB_COPY"}', uid(1))
    assert differences(found(db, TWICE)) == [("IB_COPY", Decimal(1), Decimal(2), "DUPLICATE")]
    assert [one["do"] for one in set_right(db, only(db, TWICE))] == ["delete"]
    assert found(db, TWICE) == []


def test_an_execution_that_is_told_under_a_second_transaction_is_one_finding_and_was_charged_once(db: Database) -> None:
    tell(db, execution(1, "10", "20"), execution(2, "10", "20", ibExecID=exec_id(1)))
    finding = only(db, TWICE)
    assert (finding.subject, finding.business_date, finding.cause) == (f"IB_{ACCOUNT}_T9002", MON, "DUPLICATE")
    assert finding.evidence["rows"] == [f"trades_raw_ib/{ACCOUNT}/9002", uid(1)]
    assert [one["key"] for one in set_right(db, finding)] == [{"fee_uid": f"IB_{ACCOUNT}_9002_COMMISSION"}]
    assert found(db, TWICE) == []


def test_a_rebook_whose_cancel_is_missing_leaves_its_original_too_many(db: Database) -> None:
    original, _, rebook = rebooked()
    tell(db, original, rebook, StmtFunds=[line(1, "-201"), line(2, "200", activityCode="SELL"), line(3, "-210")])
    finding = only(db, TWICE)
    assert (finding.subject, finding.expected, finding.actual) == (uid(1), 1, 2)
    assert (finding.severity, finding.cause) == (Severity.ERROR, "CORRECTION")
    assert finding.evidence["other"]["trade_uid"] == f"IB_{ACCOUNT}_{exec_id(1, 2)}"
    assert finding.evidence["taken_back_by_transaction"] == "9002"
    proposals = set_right(db, finding)
    assert changed(proposals, "trades_norm") == [{"effective": False}]
    assert query(db.url, "SELECT kind, side, effective, qty FROM trades_norm WHERE broker_trade_id = '9002'") == [
        ("CANCEL", "SELL", False, 10)
    ]
    assert query(db.url, "SELECT trade_uid, amount FROM fee_allocations") == [(f"IB_{ACCOUNT}_{exec_id(1, 2)}", 1)]
    assert found(db, TWICE) == found(db, TAKEN_BACK) == []


def test_the_legs_of_a_conversion_go_with_the_row_that_is_too_many(db: Database) -> None:
    told = {"tradeID": "71001", "ibExecID": exec_id(1, 2)}
    tell(db, execution(1, "1000", "7.8", CONVERSION), execution(2, "1001", "7.8", CONVERSION, **told))
    set_right(db, only(db, TWICE))
    legs = [(f"IB_{ACCOUNT}_T9002_{leg}",) for leg in ("BASE", "QUOTE")]
    assert query(db.url, "SELECT cash_uid FROM cash_movements ORDER BY 1") == legs
    assert found(db, TWICE) == []


def test_one_execution_in_two_accounts_belongs_to_the_one_whose_funds_tell_it(db: Database) -> None:
    tell(db, execution(1, "10", "20"), execution(1, "10", "20", THERE), StmtFunds=[line(1, "-201", THERE)])
    finding = only(db, TWICE)
    assert (finding.subject, finding.account_id, finding.cause) == (uid(1), ACCOUNT, "DUPLICATE")
    set_right(db, finding)
    assert found(db, TWICE) == []
    assert query(db.url, "SELECT account_id FROM fees_norm") == [(OTHER_ACCOUNT,)]


def test_one_execution_in_two_accounts_that_nothing_decides_is_told_without_a_remedy(db: Database) -> None:
    tell(db, execution(1, "10", "20"), execution(1, "10", "20", THERE))
    assert "set_right" not in only(db, TWICE).evidence


def test_a_trade_that_the_funds_of_another_account_tell_belongs_there(db: Database) -> None:
    tell(
        db, execution(1, "10", "20"), execution(2, "1", "20"),
        StmtFunds=[line(1, "-201", THERE), line(2, "-21")],
    )  # fmt: skip
    finding = only(db, TWICE)
    assert (finding.subject, finding.account_id, finding.cause) == (uid(1), ACCOUNT, "REFERENCE_DATA")
    assert (finding.expected, finding.actual, finding.evidence["belongs_to"]) == (1, 0, OTHER_ACCOUNT)
    set_right(db, finding)
    assert found(db, TWICE) == []
    query(db.url, "DELETE FROM broker_funds")
    assert [one.cause for one in found(db, TWICE)] == ["PIPELINE"]


def test_a_stored_trade_of_another_account_than_its_record_is_ours(db: Database) -> None:
    tell(db, execution(1, "10", "20"))
    query(db.url, "UPDATE trades_norm SET account_id = %s", OTHER_ACCOUNT)
    finding = only(db, TWICE)
    assert (finding.account_id, finding.cause) == (OTHER_ACCOUNT, "PIPELINE")
    assert changed(set_right(db, finding), "trades_norm") == [{"account_id": ACCOUNT, "trade_date": "2026-03-02"}]
    assert found(db, TWICE) == []


def test_a_deal_of_futu_under_two_numbers_of_one_extended_id_is_one(db: Database) -> None:
    tell_futu(db, futu.order(), futu.deal("1", fillIDEx="X1"), futu.deal("2", fillIDEx="X1"))
    finding = only(db, TWICE)
    assert (finding.broker, finding.subject, finding.cause) == (Broker.FUTU, f"FUTU_{futu.ACC}_1", "DUPLICATE")
    set_right(db, finding)
    assert found(db, TWICE) == []


def test_a_deal_of_futu_whose_order_another_account_told_belongs_there(db: Database) -> None:
    tell_futu(db, futu.order(), futu.deal("1"))
    there = f"FUTU_9_{futu.ACC}"
    query(db.url, "UPDATE orders_norm SET account_id = '9', order_uid = %s", there)
    query(db.url, "INSERT INTO orders_norm SELECT (jsonb_populate_record(o, %s::jsonb)).* FROM orders_norm o",
          f'{{"account_id": "{futu.ACC}", "order_uid": "FUTU_{futu.ACC}_A1", "source": "futu_deals"}}')  # fmt: skip
    finding = only(db, TWICE)
    assert (finding.account_id, finding.evidence["belongs_to"], finding.cause) == (futu.ACC, "9", "REFERENCE_DATA")
    set_right(db, finding)
    assert query(db.url, "SELECT order_uid FROM orders_norm") == [(there,)]
    assert found(db, TWICE) == []


# What is taken back ----------------------------------------------------------------------------------------------


def test_days_on_which_nothing_was_taken_back_are_not_compared(db: Database) -> None:
    tell(db, execution(1, "10", "20"))
    assert (found(db, TAKEN_BACK), compared(db, TAKEN_BACK, MON, FRI)) == ([], 0)


def test_a_correction_counts_in_the_place_of_its_original(db: Database) -> None:
    corrected = {"transactionType": "TradeCorrect", "origTransactionID": "9001", "origTradeID": "71001"}
    tell(db, execution(1, "10", "20"), execution(2, "11", "20", **corrected))
    assert found(db, TWICE) == found(db, TAKEN_BACK) == []
    assert compared(db, TAKEN_BACK, MON, FRI) == 2


@pytest.mark.parametrize(
    ("told", "what", "expected", "actual", "cause"),
    [
        ({"quantity": "-7"}, "another quantity", 7, 10, "CORRECTION"),
        ({"conid": "272093", "symbol": "MSFT"}, "another contract", 1, 0, "CORRECTION"),
        ({"transactionID": "8000"}, "a later trade", 1, 0, "CORRECTION"),
    ],
)
def test_a_cancel_of_something_else_than_its_trade_is_told(
    db: Database, told: dict[str, str], what: str, expected: int, actual: int, cause: str
) -> None:
    tell(db, execution(1, "10", "20"), cancel(2, 1, "10", "20", **told))
    finding = only(db, TAKEN_BACK)
    assert (finding.business_date, finding.expected, finding.actual) == (MON, expected, actual)
    assert (finding.severity, finding.cause, finding.evidence["what"]) == (Severity.ERROR, cause, what)
    assert uid(1) in finding.evidence["rows"]


def test_a_trade_that_is_taken_back_twice_is_told_with_the_second_cancel(db: Database) -> None:
    tell(db, execution(1, "10", "20"), cancel(2, 1, "10", "20"), cancel(3, 1, "10", "20"))
    assert differences(found(db, TAKEN_BACK)) == [(f"IB_{ACCOUNT}_T9003", Decimal(1), Decimal(2), "DUPLICATE")]


@pytest.mark.parametrize(
    ("statement", "subject", "actual"),
    [
        ("UPDATE trades_norm SET effective = true WHERE kind <> 'CANCEL'", f"IB_{ACCOUNT}_T9002", 10),
        ("UPDATE trades_norm SET effective = true WHERE kind = 'CANCEL'", f"IB_{ACCOUNT}_T9002", -10),
    ],
)
def test_what_was_taken_back_and_the_cancel_do_not_count(
    db: Database, statement: Any, subject: str, actual: int
) -> None:
    tell(db, execution(1, "10", "20"), cancel(2, 1, "10", "20"))
    query(db.url, statement)
    assert differences(found(db, TAKEN_BACK)) == [(subject, Decimal(0), Decimal(actual), "PIPELINE")]
    set_right(db, only(db, TAKEN_BACK))
    assert found(db, TAKEN_BACK) == []


def test_what_nothing_takes_back_counts(db: Database) -> None:
    tell(db, execution(1, "10", "20"))
    query(db.url, "UPDATE trades_norm SET effective = false")
    assert differences(found(db, TAKEN_BACK)) == [(uid(1), Decimal(10), Decimal(0), "PIPELINE")]
    set_right(db, only(db, TAKEN_BACK))
    assert found(db, TAKEN_BACK) == []


@pytest.mark.parametrize(
    ("dated", "severity"), [("20260227", Severity.WARN), ("20260302", Severity.ERROR), ("", Severity.WARN)]
)
def test_a_cancel_without_its_trade_is_a_warning_only_where_that_may_lie_before_the_history(
    db: Database, dated: str, severity: Severity
) -> None:
    tell(db, execution(9, "1", "5"), cancel(2, 1, "10", "20", origTradeDate=dated))
    finding = only(db, TAKEN_BACK)
    assert (finding.subject, finding.expected, finding.actual) == (f"IB_{ACCOUNT}_T9002", 10, 0)
    assert (finding.severity, finding.cause, finding.evidence["what"]) == (severity, "MISSING_A", "no such trade")
    assert "set_right" not in finding.evidence


def test_a_cancel_that_names_nothing_means_the_only_trade_of_its_price_and_size(db: Database) -> None:
    original, taking, rebook = rebooked()
    wrong = cancel(2, 77, "10", "20")
    tell(db, original, wrong, rebook)
    finding = only(db, TAKEN_BACK)
    assert (finding.evidence["may_mean"], finding.cause, taking == wrong) == (uid(1), "MISSING_A", False)
    assert found(db, TWICE) == []
    set_right(db, finding)
    assert query(db.url, "SELECT trade_uid FROM fee_allocations") == [(f"IB_{ACCOUNT}_{exec_id(1, 2)}",)]
    assert found(db, TAKEN_BACK) == found(db, TWICE) == []


def test_an_original_that_only_the_funds_tell_is_there_as_its_cancel_mirrors_it(db: Database) -> None:
    _, taking, rebook = rebooked()
    tell(db, taking, rebook, StmtFunds=[line(1, "-201"), line(2, "200"), line(3, "-210")])
    finding = only(db, TAKEN_BACK)
    assert finding.evidence["what"] == "no such trade"
    set_right(db, finding)
    made = "SELECT kind, side, effective, qty, price FROM trades_norm WHERE broker_trade_id = '9001'"
    assert query(db.url, made) == [("TRADE", "BUY", False, 10, 20)]
    assert query(db.url, "SELECT amount FROM fees_norm WHERE fee_uid = %s", f"IB_{ACCOUNT}_9001_COMMISSION") == [(1,)]
    assert found(db, TAKEN_BACK) == []


@pytest.mark.parametrize("base", [STOCK, CONVERSION])
def test_a_cancel_of_which_the_funds_know_nothing_is_nothing(db: Database, base: dict[str, str]) -> None:
    tell(db, execution(9, "1", "5"), cancel(2, 1, "10", "20", base), StmtFunds=[line(9, "-6")])
    set_right(db, only(db, TAKEN_BACK))
    assert query(db.url, "SELECT count(*) FROM trades_norm WHERE kind = 'CANCEL'") == [(0,)]
    assert query(db.url, "SELECT count(*) FROM cash_movements") == [(0,)]
    assert found(db, TAKEN_BACK) == []


def test_deals_of_futu_count_as_their_records_say(db: Database) -> None:
    tell_futu(
        db, futu.order(fillQty=Decimal("60.0")), futu.deal("1"), futu.deal("2", status=1), futu.deal("3", status=2),
        futu.deal("4", status=3, day=TUE),
    )  # fmt: skip
    assert found(db, TAKEN_BACK) == []
    assert compared(db, TAKEN_BACK, MON, FRI) == 3
    query(db.url, "UPDATE trades_norm SET effective = NOT effective")
    assert {(one.subject[-1], one.expected, one.actual) for one in found(db, TAKEN_BACK)} == {
        ("1", 60, 0), ("2", 0, 60), ("3", 0, 60), ("4", 0, 60),
    }  # fmt: skip
    for finding in found(db, TAKEN_BACK):
        set_right(db, finding)
    assert found(db, TAKEN_BACK) == []
