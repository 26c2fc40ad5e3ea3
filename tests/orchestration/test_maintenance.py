"""What is cut back of old runs, and that nothing a person looks at changes by it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._daemon.monitoring.concurrency import execute_concurrency_slots_iteration

from apex_pipeline.domain.checks import CHECKS
from apex_pipeline.orchestration import maintenance
from apex_pipeline.orchestration.location import definitions
from apex_pipeline.orchestration.maintenance import cut_back
from apex_pipeline.orchestration.partitions import daily
from apex_pipeline.orchestration.resources import Storage
from apex_pipeline.orchestration.sensors import dead_runs
from tests.orchestration.conftest import LAST, Place, keys
from tests.orchestration.simulated_days import use_instance
from tests.orchestration.test_definitions import ASSET_GROUPS

DAYS = LAST - timedelta(days=1), LAST
LATER = datetime.now(UTC) + timedelta(days=40)


def state(place: Place) -> dict[str, Any]:
    """What a person sees: materialized and failed partitions, what they say, and the checks of every day."""
    storage = place.instance.event_log_storage
    seen: dict[str, Any] = {}
    for asset in map(dg.AssetKey, ASSET_GROUPS):
        found = place.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=asset, asset_partitions=keys(*DAYS)), limit=500
        )
        newest: dict[str, str] = {}
        for record in found.records:
            newest.setdefault(record.partition_key or "", f"{record.storage_id} {record.asset_materialization}")
        failed = storage.get_latest_asset_partition_materialization_attempts_without_materializations(asset)
        seen[asset.to_user_string()] = place.materialized(asset.to_user_string()), newest, dict(failed)
    checks = [dg.AssetCheckKey(dg.AssetKey(about.table), check.value) for check, about in CHECKS.items()]
    seen["checks"] = {
        key.name: value.subsets
        for key, value in storage.get_asset_check_state([(key, daily) for key in checks]).items()
    }
    latest = storage.get_latest_asset_check_execution_by_key(checks)
    seen["results"] = {key.name: (record.id, str(record.evaluation)) for key, record in latest.items()}
    return seen


def count(place: Place, table: str) -> Mapping[str | None, int]:
    storage: Any = place.instance.event_log_storage
    kind = "dagster_event_type" if table == "event_logs" else "execution_status"
    with storage.index_connection() as connection:
        return dict(connection.execute(sa.text(f"SELECT {kind}, count(*) FROM {table} GROUP BY 1")).all())


def test_cutting_back_changes_nothing_that_is_shown(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "BATCH", 100)
    for _ in range(2):
        place.run(DAYS)
    snapshot = definitions().resolve_job_def("snapshot_job")
    for _ in range(3):
        assert snapshot.execute_in_process(instance=place.instance).success
    before, events, results = state(place), count(place, "event_logs"), count(place, "asset_check_executions")
    assert not sum(cut_back(place.instance, datetime.now(UTC)).told().values()), "control: nothing is old"
    removed = cut_back(place.instance, LATER)
    assert state(place) == before
    after, left = count(place, "event_logs"), count(place, "asset_check_executions")
    assert after["ASSET_MATERIALIZATION"] * 2 <= events["ASSET_MATERIALIZATION"] + 2
    assert left["SUCCEEDED"] * 2 == results["SUCCEEDED"]
    assert after["ASSET_CHECK_EVALUATION"] == left["SUCCEEDED"]
    assert None not in after
    assert "STEP_SUCCESS" not in after
    assert after["PIPELINE_SUCCESS"] == 3, "of two loads and one capture, which holds the newest snapshots"
    assert removed.runs == 2
    assert sum(removed.events.values()) > 500
    assert not sum(cut_back(place.instance, LATER).told().values()), "a second time there is nothing left to do"
    assert place.run(DAYS)[0].succeeded


def test_control_without_the_newest_events_the_grid_would_change(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.run((LAST, LAST), brokers=["futu"])
    before = state(place)
    monkeypatch.setattr(maintenance, "_has_newer_event", sa.true)
    cut_back(place.instance, LATER)
    assert state(place) != before


def test_a_failed_partition_stays_failed(place: Place) -> None:
    place.futu.stop()
    assert not place.run((LAST, LAST), brokers=["futu"])[0].succeeded
    before = state(place)
    assert before["orders_raw_futu"][2].keys() == {LAST.isoformat()}
    cut_back(place.instance, LATER)
    assert state(place) == before
    assert count(place, "event_logs")["STEP_FAILURE"] >= 1, "why it failed stays"


def test_the_job_says_what_it_removed(place: Place) -> None:
    result = definitions().resolve_job_def("maintenance_job").execute_in_process(instance=place.instance)
    assert result.success


@pytest.mark.parametrize(
    ("job", "tags", "lost", "refused"),
    [
        ("daily_job", {}, True, False),
        ("backfill_job", {}, True, False),
        ("backfill_job", {"dagster/max_retries": "0"}, False, False),  # as apex backfill marks its runs
        ("intraday_job", {}, False, False),
        ("snapshot_job", {}, False, False),
    ],
)
def test_a_lost_run_is_started_again_and_a_failed_one_never(
    place: Place, job: str, tags: dict[str, str], lost: bool, refused: bool
) -> None:
    from dagster._core.events import RunFailureReason

    made = definitions().resolve_job_def(job)
    run = place.instance.create_run_for_job(made, tags={**made.tags, **tags}, status=dg.DagsterRunStatus.FAILURE)
    assert auto_reexecution_should_retry_run(place.instance, run, RunFailureReason.RUN_EXCEPTION) is lost
    assert auto_reexecution_should_retry_run(place.instance, run, RunFailureReason.STEP_FAILURE) is refused


def test_the_monitor_gives_back_the_pool_that_a_finished_run_still_holds(place: Place) -> None:
    storage: Any = place.instance.event_log_storage
    run = place.instance.create_run_for_job(definitions().resolve_job_def("backfill_job"))
    storage.initialize_concurrency_limit_to_default("ib")
    assert storage.claim_concurrency_slot("ib", run.run_id, "ib_history").is_claimed
    place.instance.report_run_failed(run)
    workspace: Any = type("Workspace", (), {"instance": place.instance})
    from dagster._core.test_utils import freeze_time

    with freeze_time(datetime.now(UTC) + timedelta(minutes=1)):
        list(execute_concurrency_slots_iteration(workspace, None))  # pyright: ignore[reportArgumentType]
        assert storage.get_concurrency_run_ids() == {run.run_id}, "control: two minutes are not over"
    with freeze_time(datetime.now(UTC) + timedelta(minutes=10)):
        list(execute_concurrency_slots_iteration(workspace, None))  # pyright: ignore[reportArgumentType]
    assert storage.get_concurrency_run_ids() == set()


def test_the_sensor_ends_runs_whose_machine_was_lost(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    use_instance(monkeypatch, place.instance)
    lost = place.instance.create_run_for_job(
        definitions().resolve_job_def("backfill_job"), tags={"apex/lock": "apex:run:gone"}
    )
    context = dg.build_sensor_context(instance=place.instance, resources={"storage": Storage(url=place.db.url)})
    told = dead_runs.evaluate_tick(context)
    assert told.skip_message == f"ended 1 runs whose process is gone: {lost.run_id[:8]}"
    ended = place.instance.get_run_by_id(lost.run_id)
    assert ended
    assert ended.status is dg.DagsterRunStatus.FAILURE
