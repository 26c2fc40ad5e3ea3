"""Every break tells what to do next: ask, wait, mend, report, or nothing."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.next_steps import meaning, next_step
from apex_pipeline.domain.reconciliation import Break, BreakState

AT = datetime(2026, 3, 3, tzinfo=UTC)
SHORT = Break(
    break_uid="B_1",
    check_name=CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES,
    severity=Severity.ERROR,
    broker=Broker.FUTU,
    account_id="7",
    subject="FUTU_7_A US.KO",
    business_date=date(2026, 3, 2),
    expected=Decimal(10),
    actual=Decimal(7),
    delta=Decimal(-3),
    currency=None,
    state=BreakState.OPEN,
    cause="MISSING_B",
    first_seen_at=AT,
    last_seen_at=AT,
    age_bd=1,
    evidence={},
)
ASK = "`apex backfill --broker futu --account 7 --from-date 2026-03-02 --to-date 2026-03-02 --force`"


def test_what_a_broker_left_out_is_asked_again_and_then_signed_off() -> None:
    assert next_step(SHORT).startswith(f"ask FUTU again: {ASK}; if it stays")
    assert "`apex breaks --accept B_1 --reason TEXT`" in next_step(SHORT)
    assert meaning(SHORT) == " (all or a part of it is missing on the side called actual)"
    assert meaning(replace(SHORT, cause=None)) == ""


def test_a_record_in_quarantine_is_looked_at_first() -> None:
    assert next_step(SHORT, unread=True).startswith("look at the record in quarantine")
    assert ASK in next_step(SHORT, unread=True)


def test_a_break_of_no_day_asks_nobody() -> None:
    assert "backfill" not in next_step(replace(SHORT, business_date=None))
    assert "backfill" not in next_step(replace(SHORT, broker=None))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cause": "FEE_PENDING"}, "wait: "),
        ({"cause": "TIMING"}, "wait: "),
        ({"cause": "PIPELINE"}, "report it"),
        ({"cause": "PIPELINE", "check_name": CheckName.STORED_ROWS_ARE_WHAT_THEIR_RECORDS_MAKE}, "`apex reconcile --m"),
        ({"cause": "PIPELINE", "check_name": CheckName.RAW_RECORDS_ARE_KEPT_AS_RECEIVED}, "ask FUTU again"),
        ({"state": BreakState.CLOSED}, "nothing: both sides agree again"),
        ({"state": BreakState.ACCEPTED, "accepted_until": date(2026, 6, 1)}, "nothing until 2026-06-01"),
        ({"state": BreakState.EXPLAINED}, "nothing: all of the difference"),
        ({"state": BreakState.EXPLAINED, "follows": ["B_0"]}, "mend what it follows from: `apex breaks --explain B_0`"),
    ],
)
def test_the_step_is_that_of_its_state_and_cause(changes: dict[str, object], words: str) -> None:
    assert next_step(replace(SHORT, **changes)).startswith(words)  # type: ignore[arg-type]
