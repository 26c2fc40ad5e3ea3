"""Which findings are one difference that several checks see: the first of them tells it, and the others say so.

Two checks see the same where they compare the same thing of the same account and are off by the same amount. What the
amounts do not show is not claimed here; see `diagnosis` for what is proven by setting a cause right.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from apex_pipeline.domain.checks import CheckName
from apex_pipeline.domain.reconciliation import BreakRule, Explanation, Finding

CENT = Decimal("0.01")
"""What the checks of cash allow, and so the most by which their differences may differ."""

ROUNDED_COST = Decimal("0.001")
"""What Futu rounds the cost of a unit to."""

_HELD = CheckName.POSITIONS_EQUAL_THE_BROKERS
_THREE_WAY = CheckName.FILLS_LEDGER_AND_BROKER_AGREE
_LOTS = CheckName.OPEN_LOTS_EQUAL_THE_BROKERS
_EXPIRED = CheckName.NO_OPTION_OUTLIVES_ITS_EXPIRY
_FUNDS = CheckName.THE_BALANCE_OF_FUNDS_RUNS
_CASH = CheckName.ENDING_CASH_EQUALS_THE_CASH_REPORT
_COST = CheckName.AVERAGE_COST_EQUALS_THE_BROKERS
_GAIN = CheckName.UNREALIZED_PNL_EQUALS_THE_BROKERS
_GAP = CheckName.COVERED_DAYS_HOLD_WHAT_THE_BROKER_SAYS
_OF_ORDERS = (
    CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES, CheckName.EVERY_ORDER_IS_TOLD_BY_ITS_BROKER,
    CheckName.EVERY_FILLED_ORDER_HAS_TRADES,
)  # fmt: skip
_UNTOLD = CheckName.STATEMENTS_COVER_EVERY_BUSINESS_DAY, CheckName.EVERY_DAY_WAS_ASKED_OF_FUTU

Told = tuple[str, ...]
"""The uids of the breaks that tell a difference already; empty where none does."""


class Findings:
    """What was found, by check and account."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self._found: defaultdict[tuple[str, str | None], list[Finding]] = defaultdict(list)
        for one in findings:
            self._found[one.check_name, one.account_id].append(one)

    def of(self, one: Finding, *checks: CheckName) -> list[Finding]:
        """What these checks found of the account of a finding."""
        return [other for check in checks for other in self._found.get((check.value, one.account_id), ())]


def same_position(one: Finding, found: Findings) -> Told:
    """A position that is off by as much as the newest snapshot of the broker says that it is."""
    if CheckName(one.check_name) not in (_THREE_WAY, _LOTS, _EXPIRED) or not one.business_date:
        return ()
    symbol = one.evidence.get("symbol")
    told = [
        other
        for other in found.of(one, _HELD)
        if other.evidence.get("symbol") == symbol
        and (one.check_name == _EXPIRED.value or other.subject == one.subject)
        and other.business_date
        and other.business_date <= one.business_date
    ]
    newest = max(told, key=lambda other: str(other.business_date), default=None)
    return (newest.break_uid,) if newest and newest.delta == one.delta else ()


def same_cash(one: Finding, found: Findings) -> Told:
    """Cash of a report that is off by the sum of what transactions of its days are off by."""
    since = one.evidence.get("from_date")
    if one.check_name != _CASH.value or not since or one.delta is None:
        return ()
    days = [
        other
        for other in found.of(one, _FUNDS)
        if other.evidence.get("transactions")
        and other.currency == one.currency
        and since <= str(other.business_date) <= str(one.business_date)
    ]
    return _uids(days) if days and abs(_sum(days) - one.delta) <= CENT else ()


def same_lines(one: Finding, found: Findings) -> Told:
    """Lines of funds that do not lead to their balance by as much as they differ from our entries of these days."""
    if one.check_name != _FUNDS.value or one.evidence.get("transactions") or not one.evidence.get("from_date"):
        return ()
    days = [
        other
        for other in found.of(one, _FUNDS)
        if other.evidence.get("transactions")
        and other.currency == one.currency
        and one.evidence["from_date"] <= str(other.business_date) <= str(one.business_date)
    ]
    expected, actual = one.expected or Decimal(0), one.actual or Decimal(0)  # neither tells its sign
    gaps = {abs(expected - actual), expected + actual}
    return _uids(days) if days and any(abs(gap - abs(_sum(days))) <= CENT for gap in gaps) else ()


def same_report(one: Finding, found: Findings) -> Told:
    """A balance of a cash report that its own components and the next report's beginning contradict alike."""
    if one.check_name != _CASH.value or one.delta is None or one.evidence.get("from_date"):
        return ()
    last_told = one.evidence.get("last_told")
    for other in found.of(one, _CASH):
        if other.currency == one.currency and other.evidence.get("from_date") and other.delta is not None:
            if last_told == str(other.business_date) and abs(other.delta + one.delta) <= CENT:
                return (other.break_uid,)
            if not last_told and other.business_date == one.business_date and abs(other.delta - one.delta) <= CENT:
                return (other.break_uid,)
    return ()


def same_cost(one: Finding, found: Findings) -> Told:
    """An unrealized gain that is off by as much as the cost that the broker tells of the position."""
    if one.check_name != _GAIN.value or one.delta is None:
        return ()
    for other in found.of(one, _COST):
        if (other.subject, other.business_date) == (one.subject, one.business_date):
            told, ours = other.evidence.get("told_cost"), other.evidence.get("cost")
            units = Decimal(one.evidence.get("quantity", 0)) * Decimal(one.evidence.get("multiplier", 1))
            gap = Decimal(told) - Decimal(ours) if told and ours else None
            if gap is not None and abs(gap + one.delta) <= CENT + abs(units) * ROUNDED_COST:
                return (other.break_uid,)
    return ()


def same_fills(one: Finding, found: Findings) -> Told:
    """A day with fewer fills or orders than the broker says, all of whose orders tell what they lack."""
    orders = set(one.evidence.get("order_uids", ())) if one.check_name == _GAP.value else set[str]()
    lacking = found.of(one, *reversed(_OF_ORDERS))
    told = {other.evidence.get("order_uid"): other.break_uid for other in lacking}
    return tuple(sorted({told[uid] for uid in orders})) if orders and orders <= told.keys() else ()


def untold_days(one: Finding, found: Findings) -> Told:
    """A difference that appeared over days that nobody told: between what was compared last and this day."""
    before, day = one.evidence.get("compared_before_on") or one.evidence.get("last_told"), str(one.business_date)
    if not before or not one.business_date:
        return ()
    holes = [other for other in found.of(one, *_UNTOLD) if _lies_between(other, before, day)]
    return _uids(holes)


_RULES: dict[BreakRule, Callable[[Finding, Findings], Told]] = {
    BreakRule.DAYS_ARE_UNTOLD: untold_days,
    BreakRule.SAME_FILLS: same_fills,
    BreakRule.SAME_POSITION: same_position,
    BreakRule.SAME_TRANSACTIONS: same_cash,
    BreakRule.SAME_LINES: same_lines,
    BreakRule.SAME_BALANCE: same_report,
    BreakRule.SAME_COST: same_cost,
}


def told_elsewhere(findings: Sequence[Finding]) -> dict[str, Explanation]:
    """The findings that tell a difference which others tell already, by uid; the first rule that holds counts."""
    found = Findings(findings)
    told = ((one, rule, uids) for one in findings for rule, holds in _RULES.items() if (uids := holds(one, found)))
    return {one.break_uid: Explanation(rule, uids) for one, rule, uids in reversed(list(told))}


def _lies_between(hole: Finding, before: str, day: str) -> bool:
    missing = hole.evidence.get("missing") or {}
    return before < str(missing.get("from")) and str(missing.get("to")) < day


def _sum(findings: Sequence[Finding]) -> Decimal:
    return sum((one.delta or Decimal(0) for one in findings), Decimal(0))


def _uids(findings: Iterable[Finding]) -> Told:
    return tuple(sorted(one.break_uid for one in findings))
