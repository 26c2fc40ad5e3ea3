"""Which findings are one difference that several checks see: the first of them tells it, and the others say so.

Two checks see the same where they compare the same thing of the same account and are off by the same amount. What the
amounts do not show is not claimed here; see `diagnosis` for what is proven by setting a cause right.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from apex_pipeline.domain.checks import CheckName
from apex_pipeline.domain.reconciliation import BreakRule, Explanation, Finding

CENT = Decimal("0.01")
"""What the checks of cash allow, and so the most by which their differences may differ."""

CORP_ACTION = "CORP_ACTION"

ROUNDED_COST = Decimal("0.001")
"""What Futu rounds the cost of a unit to."""

_HELD = CheckName.POSITIONS_EQUAL_THE_BROKERS
_PARTS = CheckName.EVERY_POSITION_BELONGS_TO_STRATEGIES
_THREE_WAY = CheckName.FILLS_LEDGER_AND_BROKER_AGREE
_LOTS = CheckName.OPEN_LOTS_EQUAL_THE_BROKERS
_EXPIRED = CheckName.NO_OPTION_OUTLIVES_ITS_EXPIRY
_FUNDS = CheckName.THE_BALANCE_OF_FUNDS_RUNS
_CASH = CheckName.ENDING_CASH_EQUALS_THE_CASH_REPORT
_COST = CheckName.AVERAGE_COST_EQUALS_THE_BROKERS
_GAIN = CheckName.UNREALIZED_PNL_EQUALS_THE_BROKERS
_GAP = CheckName.COVERED_DAYS_HOLD_WHAT_THE_BROKER_SAYS
_CANCEL = CheckName.EVERY_CANCEL_HAS_ITS_TRADE
_FLOW = CheckName.CASH_FLOW_EQUALS_TRADES_AND_FEES
_CLOSED = CheckName.LOTS_ARE_CLOSED_IN_THE_BROKERS_ORDER
_REALIZED = CheckName.REALIZED_PNL_EQUALS_THE_BROKERS
_RULE = CheckName.EVERY_MOVEMENT_HAS_A_RULE
_KEPT = CheckName.RAW_RECORDS_ARE_KEPT_AS_RECEIVED
_NORMALIZED = CheckName.RAW_IS_NORMALIZED_PLUS_QUARANTINED
_AHEAD = CheckName.NO_WATERMARK_IS_AHEAD_OF_ITS_DATA
_RECORDS_OF = {"futu_orders": "orders_raw_futu", "futu_deals": "trades_raw_futu", "ib_flex": "trades_raw_ib"}
"""The table with the records whose newest moment a watermark of this type of data is."""
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
    """A position that is off by as much as the newest snapshot of the broker, or the one before, says that it is."""
    if CheckName(one.check_name) not in (_HELD, _THREE_WAY, _LOTS, _EXPIRED) or not one.business_date:
        return ()
    symbol = one.evidence.get("symbol")
    told = [
        other
        for other in found.of(one, _HELD)
        if other.evidence.get("symbol") == symbol
        and (one.check_name == _EXPIRED.value or other.subject == one.subject)
        and other.business_date
        and (other.business_date < one.business_date or one.check_name != _HELD.value)
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


def same_booking(one: Finding, found: Findings) -> Told:
    """Futu's cash of a day that is off in one currency by what it is off in another the other way round."""
    if one.check_name != _FLOW.value or one.delta is None:
        return ()
    for other in found.of(one, _FLOW):
        is_first = str(other.currency) < str(one.currency) and other.business_date == one.business_date
        if is_first and other.delta == -one.delta:
            return (other.break_uid,)
    return ()


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
    """What days that nobody told would tell.

    A difference that appeared over them, between what was compared last and this day; money of one of them, and a trade
    of it that was cancelled; and which lots a trade closed that were open then.
    """
    holes = found.of(one, *_UNTOLD)
    if one.check_name == _PARTS.value:  # not bound to a day: it is whatever its contract is
        symbol = one.evidence.get("symbol")
        held = [other for other in found.of(one, _HELD) if other.evidence.get("symbol") == symbol]
        return _uids(hole for hole in holes if any(_is_in(hole, other) for other in held))
    return _uids(hole for hole in holes if _is_in(hole, one))


def _is_in(hole: Finding, one: Finding) -> bool:
    missing = hole.evidence.get("missing") or {}
    first, last, day = str(missing.get("from")), str(missing.get("to")), str(one.business_date)
    before = one.evidence.get("compared_before_on") or one.evidence.get("last_told")
    if before:
        return before < first <= day
    if one.check_name in (_CLOSED.value, _REALIZED.value):
        lots = (*one.evidence.get("theirs", ()), *one.evidence.get("ours", ()))
        opened = [*(lot.get("opened_at") for lot in lots), one.evidence.get("opened_on")]
        return first <= day and any(str(moment)[:10] <= last for moment in opened if moment)
    return one.check_name in (_FUNDS.value, _CANCEL.value) and first <= day <= last


def same_lots(one: Finding, found: Findings) -> Told:
    """A gain that is off by what the broker's lots of the same trade cost more or less than ours."""
    if one.check_name != _REALIZED.value or one.delta is None:
        return ()
    for other in found.of(one, _CLOSED):
        told, ours = other.evidence.get("told_cost"), other.evidence.get("cost")
        gap = abs(Decimal(told) - Decimal(ours)) if told and ours else None
        if other.subject == one.subject and gap is not None and abs(gap - abs(one.delta)) <= CENT:
            return (other.break_uid,)
    return ()


def same_records(one: Finding, found: Findings) -> Told:
    """Records that make no row, of a day whose records are as many more than their loads wrote."""
    if one.check_name != _NORMALIZED.value or one.delta is None:
        return ()
    table = f"{one.evidence.get('kind')}_raw_{str(one.broker).lower()}"
    for other in found.of(one, _KEPT):
        is_same = (other.evidence.get("table"), other.business_date) == (table, one.business_date)
        if is_same and other.delta == -one.delta:
            return (other.break_uid,)
    return ()


def missing_record(one: Finding, found: Findings) -> Told:
    """A watermark of a moment about which records were taken away; days of exchanges are not those of UTC."""
    table = _RECORDS_OF.get(str(one.evidence.get("data_type"))) if one.check_name == _AHEAD.value else None
    moment = one.evidence.get("last_record_at")
    if not table or not moment:
        return ()
    day = datetime.fromisoformat(moment).date()
    return _uids(
        other
        for other in found.of(one, _KEPT)
        if other.evidence.get("table") == table
        and other.business_date
        and abs(other.business_date - day) <= timedelta(days=1)
        and (other.delta or 0) < 0
    )


def same_gains(one: Finding, found: Findings) -> Told:
    """A contract whose realized gain is off by the sum of what its trades of these days are off by."""
    trades = set(one.evidence.get("trades", ())) if one.check_name == _REALIZED.value else set[str]()
    off = [other for other in found.of(one, _REALIZED) if other.subject in trades and other.delta is not None]
    return _uids(off) if off and one.delta is not None and abs(_sum(off) - one.delta) <= CENT * len(off) else ()


def stopped_ledger(one: Finding, found: Findings) -> Told:
    """A gain that is not known because the ledger of its instrument stopped before."""
    if one.check_name != _REALIZED.value or one.cause != CORP_ACTION:
        return ()
    symbol = one.evidence.get("symbol")
    return _uids(
        other
        for other in found.of(one, _RULE)
        if other.evidence.get("symbol") == symbol and str(other.business_date) <= str(one.business_date)
    )


_RULES: dict[BreakRule, Callable[[Finding, Findings], Told]] = {
    BreakRule.DAYS_ARE_UNTOLD: untold_days,
    BreakRule.LEDGER_STOPPED: stopped_ledger,
    BreakRule.SAME_RECORDS: same_records,
    BreakRule.RECORD_IS_GONE: missing_record,
    BreakRule.SAME_FILLS: same_fills,
    BreakRule.SAME_POSITION: same_position,
    BreakRule.SAME_TRANSACTIONS: same_cash,
    BreakRule.SAME_BOOKING: same_booking,
    BreakRule.SAME_LINES: same_lines,
    BreakRule.SAME_BALANCE: same_report,
    BreakRule.SAME_COST: same_cost,
    BreakRule.SAME_LOTS: same_lots,
    BreakRule.SAME_GAINS: same_gains,
}


def told_elsewhere(findings: Sequence[Finding], standing: Sequence[Finding] = ()) -> dict[str, Explanation]:
    """The findings that tell a difference which others tell already, by uid; the first rule that holds counts.

    `standing` are findings of other days: they may be what tells it, and are not explained here.
    """
    found = Findings([*findings, *standing])
    told = ((one, rule, uids) for one in findings for rule, holds in _RULES.items() if (uids := holds(one, found)))
    return {one.break_uid: Explanation(rule, uids) for one, rule, uids in reversed(list(told))}


def _sum(findings: Sequence[Finding]) -> Decimal:
    return sum((one.delta or Decimal(0) for one in findings), Decimal(0))


def _uids(findings: Iterable[Finding]) -> Told:
    return tuple(sorted(one.break_uid for one in findings))
