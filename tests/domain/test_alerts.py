"""How alerts are worded and grouped, and how long a channel that fails is left alone."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.alerts import (
    Alert,
    AlertKind,
    FailedRun,
    Words,
    body,
    of_break,
    of_deadline,
    of_drift,
    of_refusal,
    of_run,
    pause_after,
    title,
)
from apex_pipeline.domain.checks import Severity
from apex_pipeline.domain.redaction import Redactor

NOW = datetime(2026, 11, 2, 6, 30, tzinfo=UTC)
ALIASES = {("IB", "U7654321"): "ib-1", ("FUTU", "281756455981243107"): "futu-1"}
WORDS = Words(Redactor(["flex-token-canary"], {account: alias for (_, account), alias in ALIASES.items()}), ALIASES)
BREAK: dict[str, Any] = {
    "break_uid": "BRK_0a1b2c", "check_name": "every_filled_order_has_its_fees", "broker": "IB",
    "account_id": "U7654321", "business_date": date(2026, 3, 4), "delta": Decimal("12.500"), "currency": "USD",
}  # fmt: skip


def some(kind: AlertKind, number: int, subject: str = "s", **values: Any) -> Alert:
    return Alert(kind, f"{kind}:{number}", Severity.ERROR, subject, f"line {number}", "do it", **values)


def test_a_break_is_told_by_alias_day_amount_and_the_command_that_explains_it() -> None:
    alert = of_break(BREAK, WORDS)
    assert alert.subject == "Does not hold: every filled order has its fees"
    assert alert.line == "ib-1, 2026-03-04, 12.5 USD: BRK_0a1b2c"
    assert alert.advice.startswith("`apex breaks --explain BRK_0a1b2c`")


@pytest.mark.parametrize(
    ("broker", "account", "told"),
    [
        ("IB", "U7654321", "ib-1"),
        ("IB", "U1111111", "an account of Interactive Brokers"),
        ("FUTU", None, "Futu"),
        (None, None, "all accounts"),
    ],
)
def test_an_account_is_told_by_its_alias_or_not_at_all(broker: str | None, account: str | None, told: str) -> None:
    changed = {**BREAK, "broker": broker, "account_id": account, "business_date": None, "delta": None}
    assert of_break(changed, WORDS).line == f"{told}: BRK_0a1b2c"


def test_a_refusal_says_what_the_broker_said_and_what_mends_it() -> None:
    error = "Interactive Brokers refuses the token (1012: Token has expired.): t=flex-token-canary, make a new one"
    row = {"broker": "IB", "wanted": "ib_flex", "account_id": None, "refused_at": NOW, "error": error}
    alert = of_refusal(row, WORDS)
    assert alert.line == f"ib_flex: {error.replace('flex-token-canary', '(hidden)')}"
    assert "apex doctor" in alert.advice


def test_a_run_is_told_once_whatever_its_attempts_and_each_error_once() -> None:
    run = FailedRun(
        "abcdef0123456789", "first", "daily_job", NOW, "2026-10-30..2026-11-02", ("futu: a", "futu: a", "b")
    )
    alert = of_run(run, WORDS)
    assert (alert.fingerprint, alert.subject) == ("run:first", "Failed: daily_job")
    assert alert.line == "run abcdef01 of 2026-10-30..2026-11-02: futu: a; b"
    assert "/runs/abcdef0123456789" in alert.advice
    assert of_run(FailedRun("r", "r", "j", NOW), WORDS).line == "run r: it says nothing"
    lasting = FailedRun("r", "r", "snapshot_job", NOW, lasting="snapshot_job/futu:away")
    assert of_run(lasting, WORDS).fingerprint == "run:snapshot_job/futu:away"


def test_a_deadline_and_a_word_are_told_without_what_may_not_leave() -> None:
    row = {"broker": "IB", "account_id": "U7654321", "source": "statements", "newest_day": NOW.date(), "hours": 31}
    assert of_deadline(row, 26, WORDS).line == "ib-1 statements: told up to 2026-11-02, 31 hours ago"
    drift = {"broker": "FUTU", "kind": "orders", "field": "remark", "value": "U7654321 <!here>", "records": 3}
    alert = of_drift({**drift, "first_day": NOW.date()}, WORDS)
    assert (alert.severity, alert.line) == (Severity.WARN, "orders remark ib-1 ‹!here›: 3 records since 2026-11-02")


def test_a_title_counts_what_is_told() -> None:
    alerts = [some(AlertKind.BREAK, 1), some(AlertKind.BREAK, 2), some(AlertKind.RUN, 3)]
    assert title(alerts) == "APEX: 1 failed run, 2 ERROR breaks"


def test_alerts_about_one_thing_are_one_group_and_causes_come_first() -> None:
    breaks = [some(AlertKind.BREAK, number, "fees") for number in range(7)]
    told = body([*breaks, some(AlertKind.DRIFT, 8, "word"), some(AlertKind.REFUSAL, 9, "token")], 5000)
    heads = [section.splitlines()[0] for section in told.split("\n\n")]
    assert heads == ["token", "fees (7)", "word", "All of it: `apex alerts`"]
    assert told.split("\n\n")[1].splitlines()[1:] == [
        *(f"- line {number}" for number in range(5)), "- and 2 more", "Next: do it",
    ]  # fmt: skip


def test_what_is_over_before_it_was_told_is_told_as_such() -> None:
    assert "- line 1 (over since)" in body([some(AlertKind.RUN, 1, ended_at=NOW)], 500)


@pytest.mark.parametrize("most", [300, 700, 1800])
def test_a_message_is_never_longer_than_its_channel_takes(most: int) -> None:
    alerts = [some(AlertKind.BREAK, number, f"check {number} " + "x" * 200) for number in range(60)]
    told = body(alerts, most)
    assert len(told) <= most
    assert "more kinds of alerts" in told
    assert told.endswith("All of it: `apex alerts`")
    assert told.count("check ") >= 1


def test_pauses_double_from_a_minute_to_an_hour() -> None:
    minutes = [pause_after(attempts) // timedelta(minutes=1) for attempts in range(1, 9)]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_after(10_000) == timedelta(hours=1)
