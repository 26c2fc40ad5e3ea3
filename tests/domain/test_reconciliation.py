"""A break keeps its identity over runs, and silence closes only what was looked at."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import (
    NOTES,
    Break,
    BreakRule,
    BreakState,
    Explanation,
    Finding,
    Known,
    Worth,
    accept,
    break_uid,
    changes,
    explain,
    is_news,
    reconcile,
    worth,
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
    assert (reopened.note, reopened.accepted_until) == (None, None)


def test_an_accepted_break_of_unknown_delta_opens_when_a_value_appears() -> None:
    accepted = accept(opened(None), "no statement for that day", NOW)
    assert reconcile([accepted], [finding(None)], everything, LATER) == [accepted]
    assert reconcile([accepted], [finding("90")], everything, LATER)[0].state is BreakState.OPEN


def test_accepting_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="reason"):
        accept(opened(), "  ", NOW)


def test_an_acceptance_ends_after_its_last_day_and_when_both_sides_agree() -> None:
    accepted = accept(opened(), "broker confirmed by mail", NOW, NOW.date() + timedelta(days=3))
    assert reconcile([accepted], [finding()], everything, NOW + timedelta(days=3))[0].state is BreakState.ACCEPTED
    assert reconcile([accepted], [finding()], everything, NOW + timedelta(days=4))[0].state is BreakState.OPEN
    (closed,) = reconcile([accepted], [], everything, LATER)
    assert (closed.state, closed.closed_by, closed.accepted_until) == (BreakState.CLOSED, "AGREEMENT", None)
    (again,) = reconcile([closed], [finding()], everything, LATER)
    assert again.state is BreakState.OPEN, "an acceptance does not outlive the agreement"


def test_an_acceptance_without_a_last_day_holds_for_ninety_days() -> None:
    assert accept(opened(), "known", NOW).accepted_until == NOW.date() + timedelta(days=90)


def test_accepting_up_to_a_day_that_is_past_or_what_is_closed_is_refused() -> None:
    with pytest.raises(ValueError, match="--until"):
        accept(opened(), "known", NOW, NOW.date() - timedelta(days=1))
    (closed,) = reconcile([opened()], [], everything, LATER)
    with pytest.raises(ValueError, match="closed"):
        accept(closed, "known", NOW)


def test_what_a_person_explained_stays_so_for_its_amount_and_closes_when_both_sides_agree() -> None:
    told = explain(opened(), "the broker corrected it by hand", NOW, by="ann")
    assert (told.state, told.explained_amount, told.owner) == (BreakState.EXPLAINED, Decimal(-10), "ann")
    (still,) = reconcile([told], [finding()], everything, LATER)
    assert (still.state, still.note) == (BreakState.EXPLAINED, "the broker corrected it by hand")
    assert reconcile([told], [finding("80")], everything, LATER)[0].state is BreakState.OPEN
    assert reconcile([told], [], everything, LATER)[0].state is BreakState.CLOSED


def by_rule(row: Break, follows: tuple[str, ...] = ()) -> Known:
    return Known({row.break_uid: Explanation(BreakRule.FOLLOWS, follows)})


def test_a_rule_explains_as_long_as_it_holds() -> None:
    (told,) = reconcile([], [finding()], everything, NOW, by_rule(opened(), ("B_1",)))
    assert (told.state, told.rule, told.follows, told.explained_amount) == (
        BreakState.EXPLAINED, BreakRule.FOLLOWS, ["B_1"], Decimal(-10),
    )  # fmt: skip
    assert reconcile([told], [finding()], everything, LATER, by_rule(opened(), ("B_1",))) == [told]
    (open_again,) = reconcile([told], [finding()], everything, LATER)
    assert (open_again.state, open_again.rule, open_again.follows) == (BreakState.OPEN, None, [])


def test_what_is_accepted_is_not_explained_over() -> None:
    accepted = accept(opened(), "known", NOW)
    assert reconcile([accepted], [finding()], everything, LATER, by_rule(opened()))[0].state is BreakState.ACCEPTED


def test_a_matter_of_time_is_an_error_once_its_time_is_over() -> None:
    late = replace(finding(), severity=Severity.WARN, cause="TIMING")
    for days, severity in ((0, Severity.WARN), (1, Severity.ERROR)):  # Monday is the first business day after
        assert reconcile([], [late], everything, NOW + timedelta(days=days))[0].severity is severity
    other = replace(late, cause="CONVENTION")
    assert reconcile([], [other], everything, NOW + timedelta(days=9))[0].severity is Severity.WARN


def test_a_fee_has_a_day_more() -> None:
    late = replace(
        finding(), check_name=CheckName.EVERY_FILLED_ORDER_HAS_ITS_FEES, severity=Severity.WARN, cause="TIMING"
    )
    assert reconcile([], [late], everything, NOW + timedelta(days=1))[0].severity is Severity.WARN
    assert reconcile([], [late], everything, NOW + timedelta(days=2))[0].severity is Severity.ERROR


@pytest.mark.parametrize(
    ("delta", "rate", "net_value", "in_base", "is_material"),
    [
        ("0.99", "1", None, "0.99", False),
        ("-1.00", "1", None, "-1.00", True),
        ("7.79", "0.128", "1000", "0.99712", False),
        ("1.50", "1", "2000000", "1.50", False),
        ("2.00", "1", "2000000", "2.00", True),
        ("0.50", None, None, None, False),
    ],
)
def test_a_break_is_material_from_one_unit_of_the_base_currency_or_a_millionth_of_the_account_on(
    delta: str, rate: str | None, net_value: str | None, in_base: str | None, is_material: bool
) -> None:
    found = worth(Decimal(delta), Decimal(rate) if rate else None, Decimal(net_value) if net_value else None)
    assert found == Worth(Decimal(in_base) if in_base else None, is_material)


def test_what_is_no_money_is_material() -> None:
    assert worth(None, None, None).is_material


def test_every_step_of_a_break_is_told_once() -> None:
    first = reconcile([], [finding()], everything, NOW)
    (step,) = changes([], first, "run 1", NOW, 1)
    assert (step.from_state, step.to_state, step.to_delta) == (None, BreakState.OPEN, Decimal(-10))
    assert changes(first, reconcile(first, [finding()], everything, LATER), "run 2", LATER) == []
    assert changes(first, reconcile(first, [finding()], everything, LATER + timedelta(days=2)), "run 2", LATER) == []
    (other,) = changes(first, reconcile(first, [finding("80")], everything, LATER), "run 2", LATER)
    assert (other.from_delta, other.to_delta) == (Decimal(-10), Decimal(-20))
    (closed,) = changes(first, reconcile(first, [], everything, LATER), "run 3", LATER)
    assert (closed.from_state, closed.to_state) == (BreakState.OPEN, BreakState.CLOSED)


def test_only_what_is_new_or_differs_is_news() -> None:
    before = [opened()]
    assert not is_news([finding()], before)
    assert is_news([finding("80")], before)
    assert is_news([finding(), finding(subject="FUTU_1_2")], before)
    assert is_news([finding()], reconcile(before, [], everything, LATER))


def test_a_break_whose_cause_is_gone_is_news() -> None:
    cause = reconcile([], [finding(subject="cause")], everything, NOW)[0]
    effect = reconcile([], [finding()], everything, NOW, by_rule(opened(), (cause.break_uid,)))[0]
    assert not is_news([finding(), finding(subject="cause")], [cause, effect])
    assert is_news([finding()], [cause, effect])


def test_one_subject_reported_twice_is_a_fault_of_the_check() -> None:
    with pytest.raises(ValueError, match="FUTU_1_1 twice"):
        reconcile([], [finding(), finding("5")], everything, NOW)


def test_a_naive_now_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        reconcile([], [], everything, NOW.replace(tzinfo=None))


def test_identities_do_not_run_into_each_other() -> None:
    assert break_uid(CHECK, Broker.IB, "1", "2", FRIDAY) != break_uid(CHECK, Broker.IB, "12", "", FRIDAY)
    assert break_uid(CHECK, Broker.IB, "1", "2", None) != break_uid(CHECK, Broker.IB, "1", "2", FRIDAY)


subjects = st.lists(st.sampled_from("abcdef"), unique=True)


@given(subjects, subjects)
def test_any_run_repeated_changes_nothing(before: list[str], after: list[str]) -> None:
    rows = reconcile([], [finding(subject=name) for name in before], everything, NOW)
    once = reconcile(rows, [finding(subject=name) for name in after], everything, LATER)
    assert reconcile(once, [finding(subject=name) for name in reversed(after)], everything, LATER) == once
    assert {row.subject for row in once} == set(before) | set(after)
    assert {row.subject for row in once if row.state is BreakState.OPEN} == set(after)
