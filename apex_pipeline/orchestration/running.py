"""Runs the Dagster job in this process over a range of days, as `apex backfill` and the demo do."""

import fcntl
import os
import socket
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.utils import make_new_run_id

from apex_pipeline.orchestration.assets import ASSETS, RAW_TABLES
from apex_pipeline.orchestration.failures import INTERACTIVE_TAG
from apex_pipeline.orchestration.home import instance
from apex_pipeline.orchestration.location import definitions
from apex_pipeline.orchestration.resources import Progress

HOST_TAG = "apex/host"
EXTRACTIONS = {"futu": "futu_history", "ib": "ib_flex_statements"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: errors per broker in one line each, days whose ERROR checks failed, counts per asset."""

    run_id: str
    succeeded: bool
    errors: Mapping[str, str]
    failed_checks: Sequence[tuple[str, str]]
    metadata: Mapping[str, Mapping[str, Any]]


def run_range(
    first: date, last: date, brokers: Sequence[str], config: Mapping[str, Any], progress: Progress
) -> list[Outcome]:
    """Load these brokers over the range and do everything downstream; one broker's failure stops only its own load."""
    with instance() as opened:
        _free_dead_runs(opened)
        outcome = _run(opened, (first, last), brokers, config, progress)
        others = [broker for broker in brokers if EXTRACTIONS[broker] not in outcome.errors]
        if len(others) == len(brokers):
            return [outcome]
        return [outcome, _run(opened, (first, last), others, config, progress)]


def _run(
    opened: dg.DagsterInstance,
    days: tuple[date, date],
    brokers: Sequence[str],
    config: Mapping[str, Any],
    progress: Progress,
) -> Outcome:
    job = definitions(progress).resolve_job_def("backfill_job")
    run_id = make_new_run_id()
    with _alive(run_id):
        result = job.execute_in_process(
            run_id=run_id,
            run_config={
                "ops": {EXTRACTIONS[broker]: {"config": dict(config)} for broker in brokers},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            instance=opened,
            raise_on_error=False,
            asset_selection=_selection(brokers),
            tags={
                "dagster/asset_partition_range_start": days[0].isoformat(),
                "dagster/asset_partition_range_end": days[1].isoformat(),
                INTERACTIVE_TAG: "true",
                HOST_TAG: socket.gethostname(),
            },
        )
    return Outcome(result.run_id, result.success, _errors(result), _failed_checks(result), _load_metadata(result))


def _selection(brokers: Sequence[str]) -> list[dg.AssetKey]:
    left_out = {table for broker, tables in RAW_TABLES.items() if broker not in brokers for table in tables}
    keys = [key for asset in ASSETS for key in asset.keys]
    return [key for key in keys if key.to_user_string() not in left_out]


def _errors(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    errors: dict[str, str] = {}
    for event in result.filter_events(lambda e: e.is_step_failure):
        failure = event.step_failure_data
        text = failure.user_failure_data.description if failure.user_failure_data else None
        cause = failure.error.cause or failure.error if failure.error else None
        errors[event.step_key or "run"] = text or (cause.message.strip().splitlines()[0] if cause else "failed")
    return errors


def _failed_checks(result: dg.ExecuteInProcessResult) -> list[tuple[str, str]]:
    return [
        (evaluation.check_name, evaluation.partition or "")
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR
    ]


def _load_metadata(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """The counts of each extraction, from its last materialization."""
    found: dict[str, dict[str, Any]] = {}
    for event in result.get_asset_materialization_events():
        materialization = event.materialization
        found[materialization.asset_key.to_user_string()] = {
            name: value.value for name, value in materialization.metadata.items()
        }
    return found


@contextmanager
def _alive(run_id: str) -> Generator[None]:
    """Hold a lock that the system releases when this process dies, so that others can tell."""
    with _lock_file(run_id).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    _lock_file(run_id).unlink(missing_ok=True)


def _is_dead(run: dg.DagsterRun) -> bool:
    """Whether the process of this run, started on this machine, is gone."""
    path = _lock_file(run.run_id)
    if run.tags.get(HOST_TAG) != socket.gethostname() or not path.exists():
        return run.tags.get(HOST_TAG) == socket.gethostname()
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    path.unlink(missing_ok=True)
    return True


def _lock_file(run_id: str) -> Path:
    return Path(os.environ["DAGSTER_HOME"]) / f"run-{run_id}.lock"


def _free_dead_runs(opened: dg.DagsterInstance) -> None:
    """End runs of earlier `apex` processes that were killed, and give back the broker pools that they held."""
    unfinished = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED]
    for run in opened.get_runs(filters=dg.RunsFilter(statuses=unfinished, tags={INTERACTIVE_TAG: "true"})):
        if _is_dead(run):
            opened.report_run_failed(run, "the process of this run ended without a word; its finished loads are kept")
            opened.event_log_storage.free_concurrency_slots_for_run(run.run_id)
