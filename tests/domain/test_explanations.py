"""What explains a break by itself: named rules, and nothing beyond them."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.explanations import Ages, explained_by_rule, with_proofs
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import BreakRule, Explanation, Finding

MONDAY = date(2026, 7, 6)


def finding(check: CheckName, **values: Any) -> Finding:
    usual: dict[str, Any] = {
        "broker": Broker.FUTU, "account_id": "1", "subject": "s", "business_date": MONDAY, "expected": Decimal(1),
        "actual": Decimal(0), "severity": Severity.WARN,
    }  # fmt: skip
    return Finding(check, **{**usual, **values})


PAID, FLOW = CheckName.EVERY_FILLED_ORDER_HAS_ITS_FEES, CheckName.CASH_FLOW_EQUALS_TRADES_AND_FEES
ASKED = CheckName.EVERY_FEE_THAT_WAS_ASKED_WAS_ANSWERED


def explanation_of(finding: Finding, *others: Finding) -> Explanation | None:
    return explained_by_rule([finding, *others]).get(finding.break_uid)


def test_a_fee_that_is_not_due_yet_is_explained() -> None:
    told = explanation_of(finding(PAID, cause="FEE_PENDING"))
    assert told is not None
    assert told.rule is BreakRule.FEE_IS_DUE
    assert explanation_of(finding(PAID, cause="FEE_PENDING", severity=Severity.ERROR)) is None
    assert explanation_of(finding(PAID, cause="MISSING_B")) is None


def test_money_that_agrees_over_neighbouring_days_is_explained() -> None:
    told = explanation_of(finding(FLOW, cause="TIMING"))
    assert told is not None
    assert told.rule is BreakRule.DAYS_AGREE


def test_what_lacks_the_same_fee_follows_from_the_order_without_it() -> None:
    unpaid = finding(PAID, evidence={"order_uid": "o1"}, cause="MISSING_B")
    asked = finding(ASKED, evidence={"order_uid": "o1"})
    assert explanation_of(asked, unpaid) == Explanation(BreakRule.FEE_IS_MISSING, (unpaid.break_uid,))
    assert explanation_of(unpaid, asked) is None, "the order without its fee is the break"
    assert explanation_of(finding(ASKED, evidence={"order_uid": "o2"}), unpaid) is None


@pytest.mark.parametrize(
    ("agree", "orders", "explained"), [(True, ["o1"], True), (False, ["o1"], False), (True, ["o1", "o2"], False)]
)
def test_cash_lacks_a_fee_only_where_the_trades_agree_and_all_its_orders_lack_theirs(
    agree: bool, orders: list[str], explained: bool
) -> None:
    unpaid = finding(PAID, evidence={"order_uid": "o1"}, cause="MISSING_B")
    flow = finding(FLOW, cause="FEE_PENDING", evidence={"trades_agree": agree, "orders_without_fees": orders})
    assert (explanation_of(flow, unpaid) is not None) is explained


@pytest.mark.parametrize("check", sorted(set(CHECKS) - {FLOW}))
def test_no_other_matter_of_time_is_explained(check: CheckName) -> None:
    assert explanation_of(finding(check, cause="TIMING")) is None


def test_a_proof_counts_more_than_a_rule() -> None:
    told = with_proofs({"a": Explanation(BreakRule.DAYS_AGREE)}, {"a": ("b", "c")})
    assert told == {"a": Explanation(BreakRule.FOLLOWS, ("b", "c"))}


def test_nothing_follows_from_itself_through_a_rule_and_a_proof() -> None:
    same = {uid: Explanation(BreakRule.SAME_POSITION, (of,)) for uid, of in (("expired", "held"), ("three", "held"))}
    told = with_proofs(same, {"held": ("expired",)})
    assert "expired" not in told, "it is the cause"
    assert told["held"].follows == ("expired",)
    assert told["three"].follows == ("held",)
    assert with_proofs(same, {"held": ("trade",)})["expired"].follows == ("held",), "no circle"


def test_ages_are_those_of_the_exchange() -> None:
    closed = {date(2026, 7, 7): False}
    ages = Ages({"XHKG": closed, "XNYS": {}})
    assert ages.age(finding(PAID), date(2026, 7, 8)) == 2
    assert ages.age(finding(PAID, currency="HKD"), date(2026, 7, 8)) == 1
    assert ages.age(finding(PAID, subject="HK.00700 x"), date(2026, 7, 8)) == 1
    assert ages.age(finding(PAID, evidence={"symbol": "HK.00700"}), date(2026, 7, 8)) == 1
    assert ages.age(finding(PAID, business_date=None), date(2026, 7, 8)) is None
    assert Ages({}).age(finding(PAID), date(2026, 7, 8)) == 2
