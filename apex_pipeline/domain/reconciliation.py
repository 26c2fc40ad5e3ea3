"""The life of a break: one row per disagreement, the same row however often it is found.

Here belong the identity of a break, what a check hands over, and the rule by which one run of checks
changes the rows of the runs before. The checks themselves are queries and live in the store.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Any

from apex_pipeline.domain.models import Broker

NOTES = "notes"
"""The key of `evidence` that belongs to the break's history and outlives what one run finds."""

_EPOCH_MONDAY = date(1970, 1, 5)


class Severity(StrEnum):
    ERROR = "ERROR"
    WARN = "WARN"
    INFO = "INFO"


class BreakState(StrEnum):
    """OPEN: fails now. EXPLAINED: a rule or person accounts for all of it. ACCEPTED: signed off. CLOSED: agrees."""

    OPEN = "OPEN"
    EXPLAINED = "EXPLAINED"
    ACCEPTED = "ACCEPTED"
    CLOSED = "CLOSED"


class CheckName(StrEnum):
    """The sentence that a check proves; also the name of the Dagster check."""

    ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES = "order_filled_quantity_is_the_sum_of_its_trades"
    EVERY_FILLED_ORDER_HAS_ITS_FEES = "every_filled_order_has_its_fees"
    RAW_IS_NORMALIZED_PLUS_QUARANTINED = "raw_is_normalized_plus_quarantined"
    EVERY_ORDER_IS_TOLD_BY_ITS_BROKER = "every_order_is_told_by_its_broker"
    FEES_OF_ORDERS_ARE_ALLOCATED_TO_THEIR_TRADES = "fees_of_orders_are_allocated_to_their_trades"
    COVERED_DAYS_HOLD_WHAT_THE_BROKER_SAYS = "covered_days_hold_what_the_broker_says"
    EVERY_WORD_OF_THE_BROKER_IS_KNOWN = "every_word_of_the_broker_is_known"
    EVERY_PROVISIONAL_TRADE_IS_CONFIRMED = "every_provisional_trade_is_confirmed"
    THE_QUERY_TELLS_WHAT_IS_NEEDED = "the_query_tells_what_is_needed"
    POSITIONS_EQUAL_THE_BROKERS = "positions_equal_the_brokers"
    OPEN_LOTS_EQUAL_THE_BROKERS = "open_lots_equal_the_brokers"
    NO_OPTION_OUTLIVES_ITS_EXPIRY = "no_option_outlives_its_expiry"
    EVERY_DELIVERY_HAS_BOTH_LEGS = "every_delivery_has_both_legs"
    EVERY_MOVEMENT_HAS_A_RULE = "every_movement_has_a_rule"
    REALIZED_PNL_EQUALS_THE_BROKERS = "realized_pnl_equals_the_brokers"
    NAV_BRIDGE_CLOSES = "nav_bridge_closes"
    ENDING_CASH_EQUALS_THE_CASH_REPORT = "ending_cash_equals_the_cash_report"
    THE_BALANCE_OF_FUNDS_RUNS = "the_balance_of_funds_runs"
    CASH_FLOW_EQUALS_TRADES_AND_FEES = "cash_flow_equals_trades_and_fees"
    SETTLEMENT_DATES_EQUAL_THE_BROKERS = "settlement_dates_equal_the_brokers"
    TIME_WEIGHTED_RETURN_EQUALS_THE_BROKERS = "time_weighted_return_equals_the_brokers"
    PROFIT_OF_CHAINS_EQUALS_THE_LEDGER = "profit_of_chains_equals_the_ledger"
    EVERY_FILLED_ORDER_BELONGS_TO_A_STRATEGY = "every_filled_order_belongs_to_a_strategy"
    EVERY_POSITION_BELONGS_TO_STRATEGIES = "every_position_belongs_to_strategies"
    CONFIDENCE_DOES_NOT_DRIFT = "confidence_does_not_drift"
    OUR_READING_AGREES_WITH_THE_BROKERS_LABEL = "our_reading_agrees_with_the_brokers_label"


@dataclass(frozen=True, slots=True)
class Check:
    """A check in words. `check_id` is its number in the catalogue of checks (A coverage, B orders and fees,
    C positions and lots, D profit, cash and value, E strategies)."""

    name: CheckName
    check_id: str
    severity: Severity
    description: str


CHECKS: Mapping[CheckName, Check] = {
    check.name: check
    for check in (
        Check(
            CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES,
            "B01",
            Severity.ERROR,
            "The filled quantity of every order equals the sum of its effective trades, leg by leg for a combination.",
        ),
        Check(
            CheckName.EVERY_FILLED_ORDER_HAS_ITS_FEES,
            "B05",
            Severity.ERROR,
            "Every order with a fill has at least one fee record; a fee of zero is a record, absence is not.",
        ),
        Check(
            CheckName.RAW_IS_NORMALIZED_PLUS_QUARANTINED,
            "A09",
            Severity.ERROR,
            "Every raw record of a day became a normalized row or stands in quarantine.",
        ),
        Check(
            CheckName.EVERY_ORDER_IS_TOLD_BY_ITS_BROKER,
            "B03",
            Severity.WARN,
            "No order had to be rebuilt from its trades because the broker never told it.",
        ),
        Check(
            CheckName.FEES_OF_ORDERS_ARE_ALLOCATED_TO_THEIR_TRADES,
            "B07",
            Severity.ERROR,
            "The parts of a fee that the trades of its order bear sum to the fee exactly.",
        ),
        Check(
            CheckName.COVERED_DAYS_HOLD_WHAT_THE_BROKER_SAYS,
            "A03",
            Severity.ERROR,
            "No covered day holds fewer trades or orders than the broker itself says there are.",
        ),
        Check(
            CheckName.EVERY_WORD_OF_THE_BROKER_IS_KNOWN,
            "A06",
            Severity.WARN,
            "No record holds a field, an enumeration's value or a title that no rule knows; such records load as told.",
        ),
        Check(
            CheckName.EVERY_PROVISIONAL_TRADE_IS_CONFIRMED,
            "B13",
            Severity.ERROR,
            "Every execution that TWS or a trade confirmation told stands in a statement within two business days.",
        ),
        Check(
            CheckName.THE_QUERY_TELLS_WHAT_IS_NEEDED,
            "A05",
            Severity.WARN,
            "The newest statement of every account holds all sections and fields that something is computed from.",
        ),
        Check(
            CheckName.POSITIONS_EQUAL_THE_BROKERS,
            "C02",
            Severity.ERROR,
            "Every position that the known movements make equals the broker's snapshot of it, and the other way round.",
        ),
        Check(
            CheckName.OPEN_LOTS_EQUAL_THE_BROKERS,
            "C03",
            Severity.ERROR,
            "Open lots equal Interactive Brokers' in quantity and cost by moment of opening, or as a whole position.",
        ),
        Check(
            CheckName.NO_OPTION_OUTLIVES_ITS_EXPIRY,
            "C05",
            Severity.ERROR,
            "No option is still held on the weekday after its expiry.",
        ),
        Check(
            CheckName.EVERY_DELIVERY_HAS_BOTH_LEGS,
            "C06",
            Severity.ERROR,
            "Every exercised or assigned option that was not settled in cash moved its shares at the strike.",
        ),
        Check(
            CheckName.EVERY_MOVEMENT_HAS_A_RULE,
            "C08",
            Severity.ERROR,
            "No corporate action or transfer stopped the ledger of an instrument because no rule covers it.",
        ),
        Check(
            CheckName.REALIZED_PNL_EQUALS_THE_BROKERS,
            "D01",
            Severity.ERROR,
            "What every trade realized equals Interactive Brokers' figure to the cent, where the basis is known.",
        ),
        Check(
            CheckName.NAV_BRIDGE_CLOSES,
            "D08",
            Severity.ERROR,
            "In every statement the starting value and all that changed it make the ending value.",
        ),
        Check(
            CheckName.ENDING_CASH_EQUALS_THE_CASH_REPORT,
            "D05",
            Severity.ERROR,
            "Of every cash report, starting cash and our entries of its days make its ending cash, "
            "and nothing is missing between two reports.",
        ),
        Check(
            CheckName.THE_BALANCE_OF_FUNDS_RUNS,
            "D06",
            Severity.ERROR,
            "The lines of every statement of funds lead from its first balance to its last, "
            "and each transaction is in our ledger with the same amounts.",
        ),
        Check(
            CheckName.CASH_FLOW_EQUALS_TRADES_AND_FEES,
            "D07",
            Severity.ERROR,
            "What Futu booked for trades and fees on a day is what our trades and fees of that day make.",
        ),
        Check(
            CheckName.SETTLEMENT_DATES_EQUAL_THE_BROKERS,
            "D10",
            Severity.ERROR,
            "Every trade settles on the day that its broker told, where it told one and a rule of ours covers it.",
        ),
        Check(
            CheckName.TIME_WEIGHTED_RETURN_EQUALS_THE_BROKERS,
            "D14",
            Severity.WARN,
            "Our time-weighted return of a statement's days is the broker's, within a basis point a day.",
        ),
        Check(
            CheckName.PROFIT_OF_CHAINS_EQUALS_THE_LEDGER,
            "D15",
            Severity.ERROR,
            "What the chains of strategies gained and what belongs to none is together what the ledger realized.",
        ),
        Check(
            CheckName.EVERY_FILLED_ORDER_BELONGS_TO_A_STRATEGY,
            "E01",
            Severity.ERROR,
            "What was filled of every order is spread over strategies, all of it and no more.",
        ),
        Check(
            CheckName.EVERY_POSITION_BELONGS_TO_STRATEGIES,
            "E02",
            Severity.ERROR,
            "What the open strategies hold of a contract adds up to our position in it.",
        ),
        Check(
            CheckName.CONFIDENCE_DOES_NOT_DRIFT,
            "E03",
            Severity.WARN,
            "The mean confidence of an account's groups of a day is that of the 90 days before, but for chance.",
        ),
        Check(
            CheckName.OUR_READING_AGREES_WITH_THE_BROKERS_LABEL,
            "E04",
            Severity.WARN,
            "No combination was read as a type that Futu's own name of it rules out.",
        ),
    )
}


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


@dataclass(frozen=True, slots=True)
class Break:
    """One disagreement, a row of `recon_breaks`.

    `delta` is actual minus expected, None when either is unknown. `age_bd` counts weekdays after
    `business_date` up to the day of the last change (UTC), None without a business date.
    `last_seen_at` is when the row last told something new: see `reconcile`.
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


ScopeChecked = Callable[[str, date | None], bool]
"""Whether the run looked at this (check_name, business_date): only there does silence mean agreement."""


def break_uid(
    check_name: str, broker: Broker | None, account_id: str | None, subject: str, business_date: date | None
) -> str:
    """The identity of a break: a pure function of what is checked, never of the values found."""
    day = business_date.isoformat() if business_date else "open"
    parts = (str(check_name), str(broker or ""), account_id or "", subject, day)
    return "B_" + sha256("\x1f".join(parts).encode()).hexdigest()[:24]


def reconcile(
    existing: Sequence[Break], findings: Sequence[Finding], scope_checked: ScopeChecked, now: datetime
) -> list[Break]:
    """Every break after this run, sorted by `break_uid`: the existing ones, changed or not, and the new ones.

    A finding opens a break, or updates the one of the same identity; a break in scope without a finding
    is CLOSED; a closed one that fails again is OPEN with its first sighting kept. EXPLAINED and ACCEPTED
    hold for the very amount they were given for: another delta is OPEN again. A break outside the scope
    is left alone.

    `last_seen_at` moves only when something else of the row changed (a value, the state, the age in
    business days), so a second run over the same data returns equal rows and writes nothing.
    `now` is an aware UTC instant. Two findings of one identity in one run raise ValueError.
    """
    if now.tzinfo is None:
        raise ValueError("reconcile needs an aware instant: pass datetime.now(UTC)")
    known = {row.break_uid: row for row in existing}
    found = _by_uid(findings)
    after = [_updated(known.get(uid), uid, finding, now) for uid, finding in found.items()]
    for uid, row in known.items():
        if uid not in found:
            after.append(_agreed(row, now) if scope_checked(row.check_name, row.business_date) else row)
    return sorted(after, key=lambda row: row.break_uid)


def accept(row: Break, reason: str, now: datetime) -> Break:
    """The break signed off by a person for exactly its present amount; ValueError without a reason."""
    if not reason.strip():
        raise ValueError("accepting a break needs a reason: pass --reason TEXT")
    notes = {**row.evidence.get(NOTES, {}), "accepted": reason.strip(), "accepted_at": now.astimezone(UTC).isoformat()}
    return replace(row, state=BreakState.ACCEPTED, last_seen_at=now, evidence={**row.evidence, NOTES: notes})


def business_days(start: date, end: date) -> int:
    """Weekdays after `start` up to and including `end`; 0 when `end` is not later. Holidays count as weekdays."""
    return max(0, _weekdays_through(end) - _weekdays_through(start))


def _weekdays_through(day: date) -> int:
    """Weekdays since an arbitrary Monday, `day` included."""
    weeks, weekday = divmod((day - _EPOCH_MONDAY) // timedelta(days=1), 7)
    return weeks * 5 + min(weekday + 1, 5)


def _by_uid(findings: Iterable[Finding]) -> dict[str, Finding]:
    found: dict[str, Finding] = {}
    for finding in findings:
        uid = break_uid(finding.check_name, finding.broker, finding.account_id, finding.subject, finding.business_date)
        if uid in found:
            raise ValueError(f"check {finding.check_name} reported {finding.subject} twice: make its subject unique")
        found[uid] = finding
    return found


def _updated(row: Break | None, uid: str, finding: Finding, now: datetime) -> Break:
    """The break that `finding` leaves behind; `row` itself when it says nothing new."""
    first_seen_at = row.first_seen_at if row else now
    fresh = Break(
        break_uid=uid,
        check_name=str(finding.check_name),
        severity=finding.severity,
        broker=finding.broker,
        account_id=finding.account_id,
        subject=finding.subject,
        business_date=finding.business_date,
        expected=finding.expected,
        actual=finding.actual,
        delta=_delta(finding),
        currency=finding.currency,
        state=_state_after(row, finding),
        cause=finding.cause or (row.cause if row else None),
        first_seen_at=first_seen_at,
        last_seen_at=row.last_seen_at if row else now,
        age_bd=_age(finding.business_date, now),
        evidence=_evidence_after(row, finding),
    )
    return fresh if fresh == row or row is None else replace(fresh, last_seen_at=now)


def _delta(finding: Finding) -> Decimal | None:
    if finding.expected is None or finding.actual is None:
        return None
    return finding.actual - finding.expected


def _state_after(row: Break | None, finding: Finding) -> BreakState:
    if row is None or row.state is BreakState.CLOSED:
        return BreakState.OPEN
    same_amount = row.delta == _delta(finding)
    if row.delta is None:
        same_amount = (row.expected, row.actual) == (finding.expected, finding.actual)
    return row.state if same_amount else BreakState.OPEN


def _evidence_after(row: Break | None, finding: Finding) -> dict[str, Any]:
    """What the check found now, beside the break's own history."""
    evidence = {key: value for key, value in finding.evidence.items() if key != NOTES}
    notes: dict[str, Any] = dict(row.evidence.get(NOTES, {})) if row else {}
    if row and row.state is BreakState.CLOSED:
        notes["reopened"] = notes.get("reopened", 0) + 1
    return {**evidence, NOTES: notes} if notes else evidence


def _agreed(row: Break, now: datetime) -> Break:
    """A break whose check was run and found nothing: closed, unless a person's acceptance stands."""
    if row.state not in (BreakState.OPEN, BreakState.EXPLAINED):
        return row
    return replace(row, state=BreakState.CLOSED, last_seen_at=now, age_bd=_age(row.business_date, now))


def _age(business_date: date | None, now: datetime) -> int | None:
    return None if business_date is None else business_days(business_date, now.astimezone(UTC).date())
