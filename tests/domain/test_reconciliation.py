"""A break keeps its identity over runs, and silence closes only what was looked at."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import (
    CHECKS,
    NOTES,
    Break,
    BreakState,
    CheckName,
    Finding,
    Severity,
    accept,
    break_uid,
    business_days,
    reconcile,
)

FRIDAY = date(2026, 7, 10)
NOW = datetime(2026, 7, 13, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
CHECK = CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES


def finding(actual: str | None = "90", subject: str = "FUTU_1_1", day: date | None = FRIDAY) -> Finding:
    return Finding(
        check_name=CHECK,
        broker=Broker.FUTU,
        account_id="1",
        subject=subject,
        business_date=day,
        expected=Decimal(100),
        actual=None if actual is None else Decimal(actual),
        severity=Severity.ERROR,
        evidence={"trades": ["FUTU_1_7"]},
    )


def everything(_check: str, _day: date | None) -> bool:
    return True


def nothing(_check: str, _day: date | None) -> bool:
    return False


def opened(actual: str | None = "90") -> Break:
    (row,) = reconcile([], [finding(actual)], everything, NOW)
    return row


def test_a_finding_opens_a_break_with_its_delta_and_age() -> None:
    row = opened()
    assert row.state is BreakState.OPEN
    assert row.delta == Decimal(-10)
    assert row.age_bd == 1
    assert row.first_seen_at == row.last_seen_at == NOW
    assert row.break_uid == break_uid(CHECK, Broker.FUTU, "1", "FUTU_1_1", FRIDAY)


def test_an_unknown_side_gives_an_unknown_delta() -> None:
    assert opened(None).delta is None


def test_a_second_run_over_the_same_data_changes_no_row() -> None:
    first = [opened()]
    assert reconcile(first, [finding()], everything, LATER) == first


def test_a_changed_value_updates_the_row_and_moves_last_seen() -> None:
    (row,) = reconcile([opened()], [finding("95")], everything, LATER)
    assert (row.actual, row.delta) == (Decimal(95), Decimal(-5))
    assert (row.first_seen_at, row.last_seen_at) == (NOW, LATER)


def test_an_older_break_ages_and_counts_as_seen() -> None:
    (row,) = reconcile([opened()], [finding()], everything, NOW + timedelta(days=1))
    assert row.age_bd == 2
    assert row.last_seen_at == NOW + timedelta(days=1)


def test_silence_in_scope_closes_and_silence_out_of_scope_does_not() -> None:
    first = [opened()]
    (closed,) = reconcile(first, [], everything, LATER)
    assert (closed.state, closed.last_seen_at) == (BreakState.CLOSED, LATER)
    assert reconcile(first, [], nothing, LATER) == first


def test_a_closed_break_stays_as_it_is_while_both_sides_agree() -> None:
    closed = reconcile([opened()], [], everything, NOW)
    assert reconcile(closed, [], everything, LATER + timedelta(days=9)) == closed


def test_a_closed_break_that_fails_again_is_reopened_and_counted() -> None:
    rows = [opened()]
    for _ in range(2):
        rows = reconcile(rows, [], everything, LATER)
        rows = reconcile(rows, [finding()], everything, LATER)
    (row,) = rows
    assert row.state is BreakState.OPEN
    assert row.first_seen_at == NOW
    assert row.evidence == {"trades": ["FUTU_1_7"], NOTES: {"reopened": 2}}


def test_an_accepted_break_stays_accepted_for_its_amount_only() -> None:
    accepted = accept(opened(), "broker confirmed by mail", NOW)
    assert reconcile([accepted], [finding()], everything, LATER) == [accepted]
    (reopened,) = reconcile([accepted], [finding("80")], everything, LATER)
    assert reopened.state is BreakState.OPEN
    assert reopened.evidence[NOTES]["accepted"] == "broker confirmed by mail"


def test_an_accepted_break_of_unknown_delta_opens_when_a_value_appears() -> None:
    accepted = accept(opened(None), "no statement for that day", NOW)
    assert reconcile([accepted], [finding(None)], everything, LATER) == [accepted]
    assert reconcile([accepted], [finding("90")], everything, LATER)[0].state is BreakState.OPEN


def test_accepting_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="reason"):
        accept(opened(), "  ", NOW)


def test_an_explained_break_closes_when_both_sides_agree() -> None:
    explained = replace(opened(), state=BreakState.EXPLAINED, cause="FEE_PENDING")
    (still,) = reconcile([explained], [finding()], everything, LATER)
    assert (still.state, still.cause) == (BreakState.EXPLAINED, "FEE_PENDING")
    assert reconcile([explained], [], everything, LATER)[0].state is BreakState.CLOSED


def test_one_subject_reported_twice_is_a_fault_of_the_check() -> None:
    with pytest.raises(ValueError, match="FUTU_1_1 twice"):
        reconcile([], [finding(), finding("5")], everything, NOW)


def test_a_naive_now_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        reconcile([], [], everything, NOW.replace(tzinfo=None))


def test_identities_do_not_run_into_each_other() -> None:
    assert break_uid(CHECK, Broker.IB, "1", "2", FRIDAY) != break_uid(CHECK, Broker.IB, "12", "", FRIDAY)
    assert break_uid(CHECK, Broker.IB, "1", "2", None) != break_uid(CHECK, Broker.IB, "1", "2", FRIDAY)


def test_every_named_check_is_described_in_one_sentence() -> None:
    assert set(CHECKS) == set(CheckName)
    assert {check.check_id for check in CHECKS.values()} == {
        "A03", "A05", "A06", "A09", "B01", "B03", "B05", "B07", "B13",
        "C02", "C03", "C05", "C06", "C08", "D01", "D05", "D06", "D07", "D08", "D10", "D14", "D15",
        "E01", "E02", "E03", "E04",
    }  # fmt: skip
    assert {name for name, check in CHECKS.items() if check.severity is not Severity.ERROR} == {
        CheckName.EVERY_ORDER_IS_TOLD_BY_ITS_BROKER, CheckName.EVERY_WORD_OF_THE_BROKER_IS_KNOWN,
        CheckName.THE_QUERY_TELLS_WHAT_IS_NEEDED, CheckName.TIME_WEIGHTED_RETURN_EQUALS_THE_BROKERS,
        CheckName.CONFIDENCE_DOES_NOT_DRIFT, CheckName.OUR_READING_AGREES_WITH_THE_BROKERS_LABEL,
    }  # fmt: skip
    assert all(check.description.count(".") == 1 for check in CHECKS.values())


days = st.dates(date(2014, 1, 1), date(2030, 1, 1))


@given(days, days)
def test_business_days_are_the_weekdays_between(start: date, end: date) -> None:
    span = max(0, (end - start).days)
    weekdays = sum((start + timedelta(days=n)).weekday() < 5 for n in range(1, span + 1))
    assert business_days(start, end) == weekdays


subjects = st.lists(st.sampled_from("abcdef"), unique=True)


@given(subjects, subjects)
def test_any_run_repeated_changes_nothing(before: list[str], after: list[str]) -> None:
    rows = reconcile([], [finding(subject=name) for name in before], everything, NOW)
    once = reconcile(rows, [finding(subject=name) for name in after], everything, LATER)
    assert reconcile(once, [finding(subject=name) for name in reversed(after)], everything, LATER) == once
    assert {row.subject for row in once} == set(before) | set(after)
    assert {row.subject for row in once if row.state is BreakState.OPEN} == set(after)
