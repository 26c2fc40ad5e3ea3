"""What explains a break without a person: named rules, each for all of its amount.

A rule looks at findings alone: time that has not run out, a fee that nobody told yet, and what several checks see of
one difference. What findings alone do not show is proven rather than claimed: the cause is set right in a rehearsal,
and what then agrees follows from it; see `diagnosis`.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from apex_pipeline.domain.business_days import BusinessDays, business_days
from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.domain.reconciliation import TIMING, BreakRule, Explanation, Finding
from apex_pipeline.domain.same_difference import told_elsewhere

FEE_PENDING = "FEE_PENDING"


_ASKED = CheckName.EVERY_FEE_THAT_WAS_ASKED_WAS_ANSWERED
_PAID = CheckName.EVERY_FILLED_ORDER_HAS_ITS_FEES
_FLOW = CheckName.CASH_FLOW_EQUALS_TRADES_AND_FEES


def explained_by_rule(findings: Sequence[Finding], elsewhere: Sequence[Finding] = ()) -> dict[str, Explanation]:
    """The findings that a rule accounts for, all of each, by the uid of their breaks.

    `elsewhere` are findings of other days that still stand: these may tell a difference already.
    """
    unpaid = {one.evidence.get("order_uid"): one.break_uid for one in findings if one.check_name == _PAID}
    of_time = {one.break_uid: told for one in findings if (told := _explanation(one, unpaid))}
    return told_elsewhere(findings, elsewhere) | of_time


def _explanation(finding: Finding, unpaid: Mapping[Any, str]) -> Explanation | None:
    check, cause = CheckName(finding.check_name), finding.cause
    if check is _PAID and cause == FEE_PENDING and finding.severity is Severity.WARN:
        return Explanation(BreakRule.FEE_IS_DUE)
    if check is _FLOW and cause == TIMING:
        return Explanation(BreakRule.DAYS_AGREE)
    if check is _ASKED and finding.evidence.get("order_uid") in unpaid:
        return Explanation(BreakRule.FEE_IS_MISSING, (unpaid[finding.evidence["order_uid"]],))
    if check is _FLOW and cause == FEE_PENDING and finding.evidence.get("trades_agree"):
        # The money of the trades agrees, so all of the difference is fees, and these orders have none.
        orders: list[str] = list(finding.evidence["orders_without_fees"])
        if all(order in unpaid for order in orders):
            return Explanation(BreakRule.FEE_IS_MISSING, tuple(unpaid[order] for order in orders))
    return None


def with_proofs(by_rule: Mapping[str, Explanation], proven: Mapping[str, tuple[str, ...]]) -> dict[str, Explanation]:
    """What rules and proofs explain together, by uid; a proof counts more, and nothing follows from itself.

    Where a rule has a break follow from one that is proven to follow from it, the rule's word is dropped.
    """
    told = {**by_rule, **{uid: Explanation(BreakRule.FOLLOWS, causes) for uid, causes in proven.items()}}
    for uid in {cause for causes in proven.values() for cause in causes}:
        if uid not in proven and uid in told and uid in _all_causes(told, uid):
            del told[uid]
    return told


def _all_causes(told: Mapping[str, Explanation], uid: str) -> set[str]:
    """Every break that one follows from, at once or through others; itself if it goes round in a circle."""
    waiting, seen = [uid], set[str]()
    while waiting:
        explanation = told.get(waiting.pop())
        new = set(explanation.follows) - seen if explanation else set[str]()
        seen |= new
        waiting += new
    return seen


class Ages:
    """How old findings are in business days of their exchange; `sessions` by calendar, as far as they are known."""

    def __init__(self, sessions: Mapping[str, Mapping[date, bool]]) -> None:
        self._calendars = {name: BusinessDays(known) for name, known in sessions.items()}

    def age(self, finding: Finding, today: date) -> int | None:
        """Business days after the finding's day up to today; None without a day."""
        if finding.business_date is None:
            return None
        calendar = self._calendars.get(_calendar_of(finding))
        return (calendar.between if calendar else business_days)(finding.business_date, today)


def _calendar_of(finding: Finding) -> str:
    told = f"{finding.evidence.get('symbol') or ''} {finding.subject}"
    return "XHKG" if finding.currency == "HKD" or " HK." in f" {told}" else "XNYS"
