"""What is looked at: each cause makes an alert, its absence ends it, and nothing of it may not leave."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from apex_pipeline.domain.alerts import AlertKind, FailedRun
from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import BreakState
from apex_pipeline.errors import BrokerRefused, BrokerUnavailable
from apex_pipeline.notify.watch import Runs, secrets_of, watch
from apex_pipeline.settings import ExecutionSettings, Settings
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.alerts import AlertRepository
from tests.notify.record import (
    AT,
    FUTU_ACCOUNT,
    IB_ACCOUNT,
    drift,
    every_day_is_a_business_day,
    failed_call,
    failed_login,
    granted,
    open_break,
    told_ago,
)

EXPIRED = BrokerRefused("Interactive Brokers refuses the token (1012: Token has expired.): make a new token")
LOGGED_OUT = BrokerRefused("OpenD at 127.0.0.1:11111 refused the connection: OpenD has lost its login")
AWAY = BrokerUnavailable("nobody listens")
RUN = FailedRun("run-2", "run-1", "daily_job", AT, "2026-03-04", (f"ib_history: no account {IB_ACCOUNT}",))


def found(*runs: FailedRun) -> Runs:
    """A look at Dagster that finds these."""
    return lambda _known: list(runs)


def looked(db: Database, configured: Settings, **values: Any) -> list[str]:
    """What stands after a look, as lines."""
    watch(AlertRepository(db), configured, values.pop("at", AT), **values)
    return standing(db)


def standing(db: Database) -> list[str]:
    return [row["line"] for row in AlertRepository(db).listed(AT) if row["ended_at"] is None]


def kinds(db: Database) -> list[str]:
    return sorted(row["kind"] for row in AlertRepository(db).listed(AT) if row["ended_at"] is None)


def test_an_empty_record_tells_nothing(db: Database, configured: Settings) -> None:
    assert looked(db, configured) == []


def test_an_open_error_is_told_until_it_closes_and_again_when_it_comes_back(db: Database, configured: Settings) -> None:
    open_break(db)
    granted(db)
    assert looked(db, configured) == ["ib-1, 2026-03-04, -1 USD: BRK_1"]
    assert watch(AlertRepository(db), configured, AT) == 0, "a second look finds nothing new"
    open_break(db, state=BreakState.CLOSED)
    assert looked(db, configured) == []
    open_break(db)
    assert watch(AlertRepository(db), configured, AT) == 1
    assert len(AlertRepository(db).listed(AT - timedelta(days=1))) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"severity": Severity.WARN},
        {"state": BreakState.ACCEPTED},
        {"state": BreakState.EXPLAINED},
        {"check_name": CheckName.THE_NEWEST_DATA_IS_FRESH},
    ],
)
def test_other_breaks_wait_until_somebody_looks(db: Database, configured: Settings, other: dict[str, Any]) -> None:
    open_break(db, **other)
    assert looked(db, configured) == []


def test_a_word_is_told_once_whoever_it_concerns(db: Database, configured: Settings) -> None:
    drift(db)
    drift(db, account="U1111111")
    drift(db, field="other")
    assert looked(db, configured) == [
        "trades other X: 2 records since 2026-03-04",
        "trades newField X: 4 records since 2026-03-04",
    ]


def test_a_deadline_is_judged_by_when_the_newest_day_was_told(db: Database, configured: Settings) -> None:
    every_day_is_a_business_day(db)
    told_ago(db, hours=25)
    assert looked(db, configured) == []
    strict = replace(configured, alerts=replace(configured.alerts, deadline_hours=20))
    assert looked(db, strict) == ["ib-1 statements: told up to 2026-03-04, 25 hours ago"]
    assert looked(db, replace(strict, brokers=("futu",))) == [], "a broker that is not loaded is not late"
    told_ago(db, hours=0)
    assert looked(db, strict) == []


@pytest.mark.parametrize(
    ("hours", "late"), [(24 * 3, False), (24 * 9, True)]
)  # three days hold two days of a weekend at most; nine hold five business days at least
def test_hours_of_a_weekend_do_not_count(db: Database, configured: Settings, hours: int, *, late: bool) -> None:
    told_ago(db, hours)
    patient = replace(configured, alerts=replace(configured.alerts, deadline_hours=80))
    assert bool(looked(db, patient)) is late


def test_a_token_that_is_refused_is_told_until_the_broker_answers(db: Database, configured: Settings) -> None:
    failed_call(db, EXPIRED)
    assert looked(db, configured) == [f"ib_flex: {EXPIRED}"]
    failed_call(db, AWAY)
    assert kinds(db) == ["REFUSAL"], "a later failure that passes by itself proves nothing"
    granted(db, "ib_executions")
    assert looked(db, configured) == [f"ib_flex: {EXPIRED}"], "nor does what another interface grants"
    granted(db)
    assert looked(db, configured) == []


def test_a_login_that_is_refused_is_told_until_the_broker_answers(db: Database, configured: Settings) -> None:
    failed_login(db, LOGGED_OUT)
    assert looked(db, configured) == [f"login: {LOGGED_OUT}"]
    granted(db, "futu_orders", FUTU_ACCOUNT)
    assert looked(db, configured) == []


def test_a_broker_that_is_away_refuses_nothing(db: Database, configured: Settings) -> None:
    failed_call(db, AWAY)
    failed_login(db, AWAY)
    assert looked(db, configured) == []


def test_what_nobody_asked_for_since_long_is_not_wanted_any_more(db: Database, configured: Settings) -> None:
    failed_call(db, EXPIRED)
    failed_login(db, LOGGED_OUT)
    watch(AlertRepository(db), configured, AT)
    assert kinds(db) == ["REFUSAL", "REFUSAL"]
    with db.transaction() as tx:
        tx.execute("UPDATE loads SET finished_at = finished_at - interval '10 years'")
        tx.execute("UPDATE load_runs SET ended_at = ended_at - interval '10 years'")
    assert looked(db, configured) == []


def test_a_failed_run_is_told_and_its_errors_are_read_once(db: Database, configured: Settings) -> None:
    asked: list[set[str]] = []

    def runs(known: set[str]) -> Sequence[FailedRun]:
        asked.append(known)
        return [RUN]

    granted(db)
    assert looked(db, configured, runs=runs) == ["run run-2 of 2026-03-04: ib_history: no account ib-1"]
    looked(db, configured, runs=runs)
    assert asked == [set(), {"run:run-1"}]
    assert kinds(db) == ["RUN"]
    looked(db, configured)
    assert kinds(db) == ["RUN"], "who cannot see runs does not end them"
    looked(db, configured, runs=found())
    assert kinds(db) == []


def test_aliases_are_given_in_the_order_of_appearance_and_never_change(db: Database, configured: Settings) -> None:
    alerts = AlertRepository(db)
    granted(db, account="U9")
    watch(alerts, configured, AT)
    granted(db, account="U1")
    granted(db, "futu_orders", FUTU_ACCOUNT)
    assert alerts.aliases() == {("IB", "U9"): "ib-1", ("IB", "U1"): "ib-2", ("FUTU", FUTU_ACCOUNT): "futu-1"}
    assert alerts.aliases() == alerts.aliases()


def test_everything_at_once_holds_no_account_and_no_secret(db: Database, configured: Settings) -> None:
    """Canaries wherever a foreign text can stand."""
    secrets = ["canary-token-1", "canary-pass-2", "hook-secret-canary"]
    full = replace(
        configured,
        database_url=f"postgresql://me:{secrets[1]}@db/apex",
        ib=replace(configured.ib, token=secrets[0]),
        futu=replace(configured.futu, acc_ids=("99",)),
    )
    words = f"t={secrets[0]} {secrets[1]} {configured.alerts.webhook_url} {IB_ACCOUNT} {FUTU_ACCOUNT} U5555555 99"
    failed_call(db, BrokerRefused(words))
    failed_login(db, BrokerRefused(words), Broker.FUTU)
    granted(db, "ib_orders")
    granted(db, "futu_orders2", FUTU_ACCOUNT)
    open_break(db, account_id="U5555555", subject=words)
    drift(db, field=words, value=words)
    looked(db, full, runs=found(replace(RUN, errors=(words,))))
    told = AlertRepository(db).listed(AT)
    assert {row["kind"] for row in told} >= {AlertKind.REFUSAL, AlertKind.BREAK, AlertKind.DRIFT, AlertKind.RUN}
    for row in told:
        texts = f"{row['subject']} {row['line']} {row['advice']}"
        for canary in (*secrets, IB_ACCOUNT, FUTU_ACCOUNT, "U5555555", " 99"):
            assert canary not in texts, (canary, texts)


def test_passwords_of_every_url_are_secrets_also_those_that_were_not_encoded(configured: Settings) -> None:
    full = replace(
        configured,
        database_url="postgresql://me:p%2Fss-1@db/apex",
        dagster_database_url="postgresql://me:p/ss-2@db:5432/apex",
        execution=ExecutionSettings(
            celery_broker_url="redis://:pass-3@queue/0", celery_result_url="db+postgresql://me:pass-4@db/results"
        ),
    )
    assert {"p/ss-1", "p/ss-2", "pass-3", "pass-4"} <= set(secrets_of(full))
