"""Commissions and what they are made of: of parts, total and fee the one that differs is told."""

from decimal import Decimal

import pytest

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.store.db import Database
from tests.brokers.ib.statements import ACCOUNT
from tests.store.check_rows import compared, differences
from tests.store.rows import query
from tests.store.trade_rows import FRI, MON, execution, found, line, only, parts, set_right, tell, uid

PARTS = CheckName.COMMISSION_IS_THE_SUM_OF_ITS_PARTS


def charged(db: Database, detail: str, *more: str, **told: str) -> None:
    """An execution with what its commission is made of, beside one that agrees."""
    tell(
        db, execution(1, "3", "33", **told), execution(2, "3", "33", tradeID="71001", ibCommission="0", netCash="-99"),
        execution(3, "4", "33"), UnbundledCommissionDetails=[detail, *more, parts(3)],
    )  # fmt: skip


def test_a_commission_is_its_parts_and_a_rebook_adds_nothing(db: Database) -> None:
    charged(db, parts(1))
    assert found(db, PARTS) == []
    assert compared(db, PARTS, MON) == 2


def test_days_without_parts_are_not_compared(db: Database) -> None:
    tell(db, execution(1, "3", "33"))
    assert (found(db, PARTS), compared(db, PARTS, MON, FRI)) == ([], 0)


@pytest.mark.parametrize(
    ("detail", "told", "expected", "actual", "doubted"),
    [
        (parts(1, brokerExecutionCharge="-0.8"), {}, "1", "1.05", "parts"),
        (parts(1, totalCommission="-2"), {}, "2", "1", "totalCommission"),
        (parts(1), {"fee": "-3"}, "1", "3", "ibCommission"),
        (parts(1), {"fee": "1"}, "1", "-1", "ibCommission"),
    ],
)
def test_of_parts_total_and_commission_the_one_that_differs_is_doubted(
    db: Database, detail: str, told: dict[str, str], expected: str, actual: str, doubted: str
) -> None:
    charged(db, detail, **told)
    finding = only(db, PARTS)
    assert (finding.subject, finding.business_date, finding.currency) == (uid(1), MON, "USD")
    assert (finding.expected, finding.actual) == (Decimal(expected), Decimal(actual))
    assert (finding.severity, finding.cause, finding.evidence["doubted"]) == (Severity.ERROR, None, doubted)
    assert finding.evidence["rows"][:2] == [uid(1), f"fees_raw_ib/{ACCOUNT}/9001"]
    if doubted == "ibCommission":
        set_right(db, finding)
        assert found(db, PARTS) == []


def test_a_blank_commission_whose_parts_are_told_lacks_its_fee(db: Database) -> None:
    tell(db, execution(1, "3", "33", ibCommission=""), UnbundledCommissionDetails=[parts(1)])
    finding = only(db, PARTS)
    assert (finding.subject, finding.expected, finding.actual, finding.cause) == (uid(1), 1, None, "MISSING_B")
    [proposal] = set_right(db, finding)
    assert (proposal["do"], proposal["row"]["amount"], proposal["row"]["trade_uid"]) == ("insert", "1", uid(1))
    assert found(db, PARTS) == []


def test_parts_that_are_told_twice_are_one_finding(db: Database) -> None:
    charged(db, parts(1), parts(1))
    assert differences(found(db, PARTS)) == [(uid(1), Decimal(2), Decimal(1), "DUPLICATE")]


def test_a_commission_that_a_cancel_gives_back_may_be_taken_off_the_total_or_not(db: Database) -> None:
    back = execution(4, "-3", "33", transactionType="TradeCancel", notes="Ca", tradeID="", origTradeID="71001", fee="1")
    tell(db, execution(1, "3", "33"), back, UnbundledCommissionDetails=[parts(1, "0")])
    assert found(db, PARTS) == []


def test_a_commission_in_another_currency_is_compared_only_where_the_funds_say_what_was_paid(db: Database) -> None:
    tell(db, execution(1, "3", "33", ibCommissionCurrency="HKD"), UnbundledCommissionDetails=[parts(1)])
    assert found(db, PARTS) == []
    tell(db, StmtFunds=[line(1, "-100")])
    finding = only(db, PARTS)
    assert (finding.expected, finding.actual, finding.currency, finding.cause) == (1, 0, "USD", "FX")
    set_right(db, finding)
    assert found(db, PARTS) == []
    assert query(db.url, "SELECT DISTINCT currency FROM fees_norm") == [("USD",)]


def test_a_fee_of_ours_that_is_not_what_was_told_is_ours(db: Database) -> None:
    charged(db, parts(1))
    query(db.url, "UPDATE fees_norm SET amount = amount + 0.1 WHERE fee_uid = %s", f"IB_{ACCOUNT}_9001_COMMISSION")
    assert differences(found(db, PARTS)) == [(uid(1), Decimal(1), Decimal("1.1"), "PIPELINE")]
