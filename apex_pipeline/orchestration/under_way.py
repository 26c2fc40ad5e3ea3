"""Which runs are queued or running, so that a schedule starts none beside them."""

from collections.abc import Mapping

import dagster as dg

from apex_pipeline.orchestration.dead_runs import UNFINISHED
from apex_pipeline.orchestration.steps import RAW_TABLES

QUEUED_OR_RUNNING = [dg.DagsterRunStatus.QUEUED, *UNFINISHED]
NEVER_LOADING = frozenset({"derive_job", "bars_job", "snapshot_job", "maintenance_job"})


def run_of_schedule(instance: dg.DagsterInstance, name: str) -> str | None:
    """In words, a run of this schedule that has not ended; None if there is none."""
    return _first(instance, {"dagster/schedule_name": name})


def load_of_broker(instance: dg.DagsterInstance, broker: str) -> str | None:
    """In words, a run that loads this broker and has not ended, whoever started it; None if there is none."""
    return _first(instance, {}, broker)


def _first(instance: dg.DagsterInstance, tags: Mapping[str, str], broker: str | None = None) -> str | None:
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=QUEUED_OR_RUNNING, tags=dict(tags))):
        if broker is None or _loads(run, broker):
            return f"run {run.run_id[:8]} of {run.job_name} is {run.status.value.lower().replace('_', ' ')}"
    return None


def _loads(run: dg.DagsterRun, broker: str) -> bool:
    """Whether a run asks this broker; one without a selection runs its whole job."""
    if run.job_name in NEVER_LOADING:
        return False
    return run.asset_selection is None or not run.asset_selection.isdisjoint(map(dg.AssetKey, RAW_TABLES[broker]))
