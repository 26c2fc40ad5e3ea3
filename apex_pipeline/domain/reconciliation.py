"""The life of a break: one row per disagreement, the same row however often it is found.

Here belong the identity of a break, what a check hands over, and the rule by which one run of checks changes the rows
of the runs before. What explains a break without a person is in `explanations`; the checks are queries in the store.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Any

from apex_pipeline.domain.business_days import business_days
from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.models import Broker

NOTES = "notes"
"""The key of `evidence` that belongs to the break's history and outlives what one run finds."""

SET_RIGHT = "set_right"
"""The key of `evidence` with the changes of rows that would make both sides agree; nothing is ever stored from it."""

AGREEMENT = "AGREEMENT"
"""Who closes a break whose sides agree again."""

TIMING = "TIMING"
"""The cause of a break that time alone should mend."""

TIMING_BUDGET_BD = 1
"""Business days after which what is only a matter of time is an error: a trade or a position is due on T+1, a cash
settlement a day after its own."""

FEE_BUDGET_BD = 2
"""The same of a fee, which is due on T+2."""

SMALLEST_MATERIAL = Decimal("1.00")
MATERIAL_PART = Decimal("0.000001")
"""A break is material from one unit of the base currency on, and in a large account from a millionth of its value."""

ACCEPTED_FOR = timedelta(days=90)
"""How long an acceptance holds that names no last day."""


class BreakState(StrEnum):
    """OPEN: fails now. EXPLAINED: a rule or person accounts for all of it. ACCEPTED: signed off. CLOSED: agrees."""

    OPEN = "OPEN"
    EXPLAINED = "EXPLAINED"
    ACCEPTED = "ACCEPTED"
    CLOSED = "CLOSED"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check says about one subject that does not hold.

    `subject` names the row, instrument or day in question; `business_date` None means "not bound to a
    day". Units of `expected` and `actual` are the check's; `currency` is set when they are money.
    `evidence` is ready for JSON, or a row read back would never equal a new one.
    """

    check_name: str
    broker: Broker | None
    account_id: str | None
    subject: str
    business_date: date | None
    expected: Decimal | None
    actual: Decimal | None
    severity: Severity
    currency: str | None = None
    cause: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def break_uid(self) -> str:
        """The identity of the break that this finding opens."""
        return break_uid(self.check_name, self.broker, self.account_id, self.subject, self.business_date)

    @property
    def delta(self) -> Decimal | None:
        """Actual minus expected, None when either is unknown."""
        return None if self.expected is None or self.actual is None else self.actual - self.expected


@dataclass(frozen=True, slots=True)
class Break:
    """One disagreement, a row of `recon_breaks`.

    `delta` is actual minus expected, None when either is unknown; `delta_base` the same in the account's base currency.
    `age_bd` counts business days after `business_date` up to the day of the last change (UTC), None without a business
    date. `last_seen_at` is when the row last told something new: see `reconcile`. `rule` names the rule that explains
    it and `follows` the breaks that it follows from; an explanation without a rule is a person's.
    """

    break_uid: str
    check_name: str
    severity: Severity
    broker: Broker | None
    account_id: str | None
    subject: str
    business_date: date | None
    expected: Decimal | None
    actual: Decimal | None
    delta: Decimal | None
    currency: str | None
    state: BreakState
    cause: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    age_bd: int | None
    evidence: dict[str, Any]
    delta_base: Decimal | None = None
    is_material: bool = True
    explained_amount: Decimal | None = None
    rule: str | None = None
    follows: Sequence[str] = field(default_factory=list[str])
    owner: str | None = None
    note: str | None = None
    accepted_until: date | None = None
    closed_by: str | None = None


def finding_of(row: Break) -> Finding:
    """What the check said when it found a break last."""
    told = row.broker, row.account_id, row.subject, row.business_date
    return Finding(row.check_name, *told, row.expected, row.actual, row.severity, row.currency, row.cause, row.evidence)


@dataclass(frozen=True, slots=True)
class BreakChange:
    """One step in the life of a break, a row of `recon_changes`. `from_state` None: it was opened.

    `changed_by` is the run of checks (`run_id`) or a person, `reason` the rule or what the person said.
    """

    change_uid: str
    break_uid: str
    changed_at: datetime
    from_state: BreakState | None
    to_state: BreakState
    from_delta: Decimal | None
    to_delta: Decimal | None
    changed_by: str
    reason: str | None = None
    run_id: int | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """How many things a check compared of an account on a day, a row of `recon_results`."""

    check_name: CheckName
    broker: str
    account_id: str
    business_date: date
    compared: int


@dataclass(frozen=True, slots=True)
class ReconciledDay:
    """What was compared of an account on a day and what does not agree, a row of `reconciliation_report`.

    `matched` counts what was compared and agrees; `opened` and `closed` the breaks that the last run opened and closed.
    """

    business_date: date
    broker: str
    account_id: str
    checks: int
    compared: int
    matched: int
    open_errors: int
    open_warnings: int
    explained: int
    accepted: int
    oldest_age_bd: int | None
    opened: int
    closed: int


class BreakRule(StrEnum):
    """What a break may be explained by without a person."""

    FOLLOWS = "agrees_once_its_cause_is_set_right"
    FEE_IS_DUE = "a_fee_may_come_two_business_days_late"
    FEE_IS_MISSING = "the_same_fee_is_missing"
    DAYS_AGREE = "what_was_booked_on_neighbouring_days_agrees"
    DAYS_ARE_UNTOLD = "the_days_before_were_not_told"
    LEDGER_STOPPED = "the_ledger_of_the_instrument_stopped_before"
    SAME_RECORDS = "the_same_records_are_too_many"
    RECORD_IS_GONE = "the_record_that_it_names_was_taken_away"
    SAME_FILLS = "the_same_fills_are_missing"
    SAME_POSITION = "the_same_position_is_off_by_as_much"
    SAME_TRANSACTIONS = "the_same_transactions_are_off_by_as_much"
    SAME_BOOKING = "the_same_booking_stands_in_another_currency"
    SAME_LINES = "the_same_lines_are_off_by_as_much"
    SAME_BALANCE = "the_same_balance_is_off_by_as_much"
    SAME_COST = "the_same_cost_is_off_by_as_much"
    SAME_LOTS = "the_same_lots_cost_as_much_more_or_less"
    SAME_GAINS = "the_same_gains_are_off_by_as_much"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What accounts for all of a break: the rule, and the breaks that it follows from if it is that."""

    rule: BreakRule
    follows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Worth:
    """A difference in the base currency of its account (None without a rate), and whether it is material."""

    delta_base: Decimal | None
    is_material: bool


def _weekdays_old(finding: Finding, today: date) -> int | None:
    return None if finding.business_date is None else business_days(finding.business_date, today)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the findings of a run beside themselves.

    `age`: business days of a finding's exchange between its business date and a day. `explanations` and `worths` are
    by the uid of the break.
    """

    explanations: Mapping[str, Explanation] = field(default_factory=dict[str, Explanation])
    worths: Mapping[str, Worth] = field(default_factory=dict[str, Worth])
    age: Callable[[Finding, date], int | None] = _weekdays_old


ScopeChecked = Callable[[str, date | None], bool]
"""Whether the run looked at this (check_name, business_date): only there does silence mean agreement."""


def break_uid(
    check_name: str, broker: Broker | None, account_id: str | None, subject: str, business_date: date | None
) -> str:
    """The identity of a break: a pure function of what is checked, never of the values found."""
    day = business_date.isoformat() if business_date else "open"
    parts = (str(check_name), str(broker or ""), account_id or "", subject, day)
    return "B_" + sha256("\x1f".join(parts).encode()).hexdigest()[:24]


NOTHING_KNOWN = Known()


def reconcile(
    existing: Sequence[Break],
    findings: Sequence[Finding],
    scope_checked: ScopeChecked,
    now: datetime,
    known: Known = NOTHING_KNOWN,
) -> list[Break]:
    """Every break after this run, sorted by `break_uid`: the existing ones, changed or not, and the new ones.

    A finding opens a break, or updates the one of the same identity; a break in scope without a finding is CLOSED; a
    closed one that fails again is OPEN with its first sighting kept. A rule's explanation holds as long as the rule
    gives it; a person's, and an acceptance, hold for the very amount that they were given for, an acceptance to its
    last day: after that the break is OPEN again. A break outside the scope is left alone.

    `last_seen_at` moves only when something else of the row changed (a value, the state, the age in business days), so
    a second run over the same data returns equal rows and writes nothing. `now` is an aware UTC instant. Two findings
    of one identity in one run raise ValueError.
    """
    if now.tzinfo is None:
        raise ValueError("reconcile needs an aware instant: pass datetime.now(UTC)")
    rows = {row.break_uid: row for row in existing}
    found = _by_uid(findings)
    after = [_updated(rows.get(uid), uid, finding, now, known) for uid, finding in found.items()]
    for uid, row in rows.items():
        if uid not in found:
            after.append(_agreed(row, now) if scope_checked(row.check_name, row.business_date) else row)
    return sorted(after, key=lambda row: row.break_uid)


def changes(
    before: Iterable[Break], after: Iterable[Break], changed_by: str, now: datetime, run_id: int | None = None
) -> list[BreakChange]:
    """The steps from the rows before to those after, in the order of `break_uid`; none where state and amount stay."""
    old = {row.break_uid: row for row in before}
    steps: list[BreakChange] = []
    for row in sorted(after, key=lambda row: row.break_uid):
        was = old.get(row.break_uid)
        if was is None or (was.state, was.delta) != (row.state, row.delta):
            states = was.state if was else None, row.state
            deltas = was.delta if was else None, row.delta
            uid = "C_" + sha256(f"{row.break_uid}\x1f{now.isoformat()}".encode()).hexdigest()[:24]
            steps.append(
                BreakChange(uid, row.break_uid, now, *states, *deltas, changed_by, row.rule or row.note, run_id)
            )
    return steps


def accept(row: Break, reason: str, now: datetime, until: date | None = None, by: str | None = None) -> Break:
    """The break signed off by a person for exactly its present amount, to a last day (in 90 days if none is named).

    ValueError without a reason, for a break that is closed, and for a last day that is past.
    """
    _require_reason(row, reason, "accepting")
    today = now.astimezone(UTC).date()
    until = until or today + ACCEPTED_FOR
    if until < today:
        raise ValueError(f"the acceptance would have ended on {until}: name a day to come with --until")
    notes = {**row.evidence.get(NOTES, {}), "accepted": reason.strip(), "accepted_at": now.astimezone(UTC).isoformat()}
    signed = replace(row, owner=by or row.owner, note=reason.strip(), accepted_until=until, rule=None, follows=[])
    return replace(
        signed, state=BreakState.ACCEPTED, last_seen_at=now, evidence={**row.evidence, NOTES: notes}, closed_by=None
    )


def explain(row: Break, reason: str, now: datetime, by: str | None = None) -> Break:
    """The break accounted for by a person, all of its present amount; ValueError as of `accept`."""
    _require_reason(row, reason, "explaining")
    notes = {**row.evidence.get(NOTES, {}), "explained": reason.strip()}
    told = replace(row, owner=by or row.owner, note=reason.strip(), rule=None, follows=[], explained_amount=row.delta)
    return replace(told, state=BreakState.EXPLAINED, last_seen_at=now, evidence={**row.evidence, NOTES: notes})


def _require_reason(row: Break, reason: str, doing: str) -> None:
    if not reason.strip():
        raise ValueError(f"{doing} a break needs a reason: pass --reason TEXT")
    if row.state is BreakState.CLOSED:
        raise ValueError(f"{row.break_uid} is closed: both sides agree")


def is_news(findings: Sequence[Finding], existing: Sequence[Break]) -> bool:
    """Whether any finding is new or has another amount, or a break follows from one that is gone."""
    open_rows = {row.break_uid: row for row in existing if row.state is not BreakState.CLOSED}
    found = {one.break_uid for one in findings}
    for one in findings:
        row = open_rows.get(one.break_uid)
        if row is None or not _same_amount(row, one):
            return True
        if any(uid in open_rows and uid not in found for uid in row.follows):
            return True
    return False


def worth(delta: Decimal | None, rate: Decimal | None, net_value: Decimal | None) -> Worth:
    """A difference in base currency at `rate`, and whether it is material beside the net value of its account.

    What is not money has no rate and is material. Without a rate money is judged by its own currency.
    """
    if delta is None:
        return Worth(None, is_material=True)
    in_base = None if rate is None else delta * rate
    least = max(SMALLEST_MATERIAL, abs(net_value or Decimal(0)) * MATERIAL_PART)
    return Worth(in_base, is_material=abs(delta if in_base is None else in_base) >= least)


def _by_uid(findings: Iterable[Finding]) -> dict[str, Finding]:
    found: dict[str, Finding] = {}
    for finding in findings:
        uid = finding.break_uid
        if uid in found:
            raise ValueError(f"check {finding.check_name} reported {finding.subject} twice: make its subject unique")
        found[uid] = finding
    return found


def _updated(row: Break | None, uid: str, finding: Finding, now: datetime, known: Known) -> Break:
    """The break that `finding` leaves behind; `row` itself when it says nothing new."""
    age = known.age(finding, now.astimezone(UTC).date())
    value = known.worths.get(uid, Worth(None, is_material=True))
    told = known.explanations.get(uid)
    state = _state_after(row, finding, told, now.astimezone(UTC).date())
    stands = row is not None and state is row.state and told is None  # what a person said of it goes on
    fresh = Break(
        break_uid=uid,
        check_name=str(finding.check_name),
        severity=_severity(finding, age, told),
        broker=finding.broker,
        account_id=finding.account_id,
        subject=finding.subject,
        business_date=finding.business_date,
        expected=finding.expected,
        actual=finding.actual,
        delta=finding.delta,
        currency=finding.currency,
        state=state,
        cause=finding.cause or (row.cause if row else None),
        first_seen_at=row.first_seen_at if row else now,
        last_seen_at=row.last_seen_at if row else now,
        age_bd=age,
        evidence=_evidence_after(row, finding),
        delta_base=value.delta_base,
        is_material=value.is_material,
        explained_amount=finding.delta if state is BreakState.EXPLAINED else None,
        rule=told.rule if told and state is BreakState.EXPLAINED else None,
        follows=list(told.follows) if told and state is BreakState.EXPLAINED else [],
        owner=row.owner if row else None,
        note=row.note if row and stands else None,
        accepted_until=row.accepted_until if row and state is BreakState.ACCEPTED else None,
    )
    return fresh if fresh == row or row is None else replace(fresh, last_seen_at=now)


def _severity(finding: Finding, age: int | None, told: Explanation | None) -> Severity:
    """As found; a matter of time is an error once its time is over."""
    if finding.cause != TIMING or told or age is None or finding.severity is not Severity.WARN:
        return finding.severity
    is_fee = CHECKS[CheckName(finding.check_name)].table in ("fees_norm", "fees_raw_futu")
    return Severity.ERROR if age > (FEE_BUDGET_BD if is_fee else TIMING_BUDGET_BD) else finding.severity


def _state_after(row: Break | None, finding: Finding, told: Explanation | None, today: date) -> BreakState:
    is_same = row is not None and row.state is not BreakState.CLOSED and _same_amount(row, finding)
    if row is not None and is_same and row.state is BreakState.ACCEPTED:
        return row.state if row.accepted_until is None or today <= row.accepted_until else BreakState.OPEN
    if told:
        return BreakState.EXPLAINED
    if row is not None and is_same and row.state is BreakState.EXPLAINED and row.rule is None:
        return row.state
    return BreakState.OPEN


def _same_amount(row: Break, finding: Finding) -> bool:
    if row.delta is None:
        return (row.expected, row.actual) == (finding.expected, finding.actual)
    return row.delta == finding.delta


def _evidence_after(row: Break | None, finding: Finding) -> dict[str, Any]:
    """What the check found now, beside the break's own history."""
    evidence = {key: value for key, value in finding.evidence.items() if key != NOTES}
    notes: dict[str, Any] = dict(row.evidence.get(NOTES, {})) if row else {}
    if row and row.state is BreakState.CLOSED:
        notes["reopened"] = notes.get("reopened", 0) + 1
    return {**evidence, NOTES: notes} if notes else evidence


def _agreed(row: Break, now: datetime) -> Break:
    """A break whose check was run and found nothing is closed."""
    if row.state is BreakState.CLOSED:
        return row
    closed = replace(row, state=BreakState.CLOSED, closed_by=AGREEMENT, last_seen_at=now)
    return replace(closed, rule=None, follows=[], explained_amount=None, accepted_until=None)
