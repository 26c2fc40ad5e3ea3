"""The snapshot job captures what the brokers hold now, each by itself, and touches nothing of history."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.orchestration.location import definitions
from apex_pipeline.orchestration.snapshots import cron_of
from apex_pipeline.settings import Settings
from tests.orchestration.conftest import Place, made_place
from tests.store.rows import query, value

JOB = "snapshot_job"


def run(place: Place) -> dg.ExecuteInProcessResult:
    job = definitions().resolve_job_def(JOB)
    return job.execute_in_process(instance=place.instance, raise_on_error=False)


def failures(result: dg.ExecuteInProcessResult) -> dict[str | None, str | None]:
    """What steps say of why they failed."""
    events = result.filter_events(lambda event: event.is_step_failure)
    told = {event.step_key: event.step_failure_data.user_failure_data for event in events}
    return {step: data.description if data else None for step, data in told.items()}


def test_positions_and_balances_are_captured_and_nothing_else_is_materialized(place: Place) -> None:
    result = run(place)
    assert result.success, failures(result)
    accounts = query(place.db.url, "SELECT broker, source, count(*) FROM position_snapshots GROUP BY 1, 2")
    assert [(broker, source) for broker, source, _ in accounts] == [("FUTU", "FUTU")]
    assert value(place.db.url, "SELECT count(*) FROM account_snapshots") == accounts[0][2]
    (captured_on,) = query(
        place.db.url, "SELECT DISTINCT (captured_at AT TIME ZONE 'UTC')::date::text FROM position_snapshots"
    )
    for table in ("position_snapshots", "account_snapshots"):
        assert place.materialized(table) == set(captured_on)
    events = place.events(result.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert {event.asset_key.to_user_string() for event in events} == {"position_snapshots", "account_snapshots"}
    assert value(place.db.url, "SELECT count(*) FROM loads") == 0
    assert place.futu.requests
    assert not place.flex.requests, "no statement is asked for"


def test_a_broker_that_is_away_fails_its_own_capture_only_and_is_not_asked_again(place: Place) -> None:
    place.futu.stop()
    result = run(place)
    assert not result.success
    assert list(failures(result)) == ["capture_futu"]
    (line,) = failures(result).values()
    assert line
    assert "\n" not in line
    steps = {event.step_key for event in result.filter_events(lambda event: event.is_step_success)}
    assert steps == {"capture_ib", "value_accounts_hourly"}
    assert place.events(result.run_id, dg.DagsterEventType.STEP_UP_FOR_RETRY) == []


def test_after_a_load_accounts_are_valued_and_the_ledger_stands_in_for_a_broker_without_a_gateway(place: Place) -> None:
    place.run()
    result = run(place)
    assert result.success, failures(result)
    sources = query(place.db.url, "SELECT DISTINCT broker, source FROM position_snapshots ORDER BY 1")
    assert sources == [("FUTU", "FUTU"), ("IB", "LEDGER")]
    assert value(place.db.url, "SELECT count(*) FROM performance_metrics WHERE period = 'HOUR'") > 0


def test_a_broker_that_is_left_out_needs_no_settings(server_url: str, scenario: Scenario, tmp_path: Path) -> None:
    def only_futu(configured: Settings) -> Settings:
        return replace(configured, brokers=("futu",), ib=replace(configured.ib, token=None, query_id=None))

    with made_place(server_url, scenario, tmp_path, only_futu) as place:
        result = run(place)
        assert result.success, failures(result)
        assert query(place.db.url, "SELECT DISTINCT broker FROM position_snapshots") == [("FUTU",)]


@pytest.mark.parametrize(
    ("seconds", "cron"),
    [(300, "*/5 * * * *"), (1, "*/1 * * * *"), (60, "*/1 * * * *"), (420, "*/6 * * * *"), (3600, "0 * * * *"),
     (10**6, "0 * * * *")],
)  # fmt: skip
def test_an_interval_becomes_the_nearest_regular_schedule(seconds: float, cron: str) -> None:
    assert cron_of(seconds) == cron
