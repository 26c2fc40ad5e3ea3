"""What Dagster keeps of old runs is cut back: it would grow for ever, and Dagster itself forgets ticks only.

Of every asset and partition the newest event of each kind stays, and of every check and partition the newest result:
what the partition grid, the asset pages and the checks show is the same before and after (tests compare it). What goes
is the log of steps of old runs, materializations and results that newer ones replaced, and old runs of the jobs that
run every few minutes, unless one of them holds the newest of something.

The tables are Dagster's own and private; it is pinned to a minor version.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from apex_pipeline.orchestration.tags import NEVER_RETRIED

FREQUENT_JOBS = ("snapshot_job", "intraday_job", "maintenance_job")
FREQUENT_DAYS = 7
"""Runs of jobs that run every few minutes go after so many days."""
LOG_DAYS = 30
"""Logs of steps, replaced materializations and replaced results of any run go after so many days."""
MOST_RUNS = 5_000
"""Runs of a job that go at once; what is left goes the next day."""
BATCH = 5_000
"""Rows that one statement removes: a short transaction each, so that no running load waits."""

_EVENTS, _RESULTS = SqlEventLogStorageTable, AssetCheckExecutionsTable
_TYPE = dg.DagsterEventType
NEWEST_KEPT = (
    _TYPE.ASSET_MATERIALIZATION,
    _TYPE.ASSET_MATERIALIZATION_PLANNED,
    _TYPE.ASSET_OBSERVATION,
    _TYPE.ASSET_FAILED_TO_MATERIALIZE,
)
"""Events that tell the state of a partition: the newest of each kind stays."""
LOG_LINES = (
    _TYPE.STEP_OUTPUT,
    _TYPE.STEP_INPUT,
    _TYPE.STEP_START,
    _TYPE.STEP_SUCCESS,
    _TYPE.STEP_SKIPPED,
    _TYPE.STEP_WORKER_STARTING,
    _TYPE.STEP_WORKER_STARTED,
    _TYPE.STEP_UP_FOR_RETRY,
    _TYPE.STEP_RESTARTED,
    _TYPE.RESOURCE_INIT_STARTED,
    _TYPE.RESOURCE_INIT_SUCCESS,
    _TYPE.LOADED_INPUT,
    _TYPE.HANDLED_OUTPUT,
    _TYPE.ENGINE_EVENT,
    _TYPE.LOGS_CAPTURED,
    _TYPE.ASSET_CHECK_EVALUATION_PLANNED,
)
"""Events that tell only how a run went; why it failed stays."""


@dataclass(slots=True)
class Removed:
    """Rows that were removed, by what they were."""

    runs: int = 0
    events: dict[str, int] = field(default_factory=dict[str, int])

    def told(self) -> dict[str, int]:
        """For the log."""
        return {"runs": self.runs, **self.events}


def cut_back(instance: dg.DagsterInstance, now: datetime) -> Removed:
    """Remove what is old; raises nothing for an instance whose storage is not SQL, which keeps everything."""
    removed, storage = Removed(), instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return removed
    removed.runs = _remove_frequent_runs(instance, storage, now - timedelta(days=FREQUENT_DAYS))
    before = (now - timedelta(days=LOG_DAYS)).replace(tzinfo=None)  # Dagster stores UTC without saying so
    removed.events = {
        "replaced results": _remove(storage, _RESULTS, _replaced_results(before)),
        "replaced events": _remove(storage, _EVENTS, _replaced_events(before)),
        "evaluations": _remove(storage, _EVENTS, _unused_evaluations(before)),
        "log lines": _remove(storage, _EVENTS, _log_lines(before)),
    }
    return removed


def _remove_frequent_runs(instance: dg.DagsterInstance, storage: SqlEventLogStorage, before: datetime) -> int:
    count = 0
    for job in FREQUENT_JOBS:
        filters = dg.RunsFilter(job_name=job, statuses=FINISHED_STATUSES, updated_before=before)
        old = [run.run_id for run in instance.get_runs(filters, limit=MOST_RUNS)]
        for run_id in set(old) - _holding_the_newest(storage, old):
            instance.delete_run(run_id)
            count += 1
    return count


def _holding_the_newest(storage: SqlEventLogStorage, run_ids: Sequence[str]) -> set[str]:
    """Those of these runs that the state of some partition or check comes from."""
    events = sa.select(_EVENTS.c.run_id).where(
        _EVENTS.c.run_id.in_(run_ids), _EVENTS.c.dagster_event_type.in_(_names(NEWEST_KEPT)), ~_has_newer_event()
    )
    results = sa.select(_RESULTS.c.run_id).where(_RESULTS.c.run_id.in_(run_ids), ~_has_newer_result())
    with storage.index_transaction() as connection:
        return set(connection.execute(sa.union(events, results)).scalars())


def _names(types: Sequence[dg.DagsterEventType]) -> list[str]:
    return [one.value for one in types]


def _has_newer_event() -> sa.ColumnElement[bool]:
    """An event of the same kind for the same asset and partition came later; no event without a partition has one."""
    newer = _EVENTS.alias("newer")
    same = [newer.c[name] == _EVENTS.c[name] for name in ("asset_key", "dagster_event_type", "partition")]
    return sa.exists().where(*same, newer.c.id > _EVENTS.c.id)


def _has_newer_result() -> sa.ColumnElement[bool]:
    newer = _RESULTS.alias("newer")
    same = [newer.c[name] == _RESULTS.c[name] for name in ("asset_key", "check_name", "partition")]
    return sa.exists().where(*same, newer.c.id > _RESULTS.c.id)


def _replaced_results(before: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(_RESULTS.c.evaluation_event_timestamp < before, _has_newer_result())


def _replaced_events(before: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(
        _EVENTS.c.timestamp < before, _EVENTS.c.dagster_event_type.in_(_names(NEWEST_KEPT)), _has_newer_event()
    )


def _unused_evaluations(before: datetime) -> sa.ColumnElement[bool]:
    """Events of results that were removed themselves."""
    used = sa.exists().where(_RESULTS.c.evaluation_event_storage_id == _EVENTS.c.id)
    kind = _EVENTS.c.dagster_event_type == _TYPE.ASSET_CHECK_EVALUATION.value
    return sa.and_(_EVENTS.c.timestamp < before, kind, ~used)


def _log_lines(before: datetime) -> sa.ColumnElement[bool]:
    kind = _EVENTS.c.dagster_event_type
    return sa.and_(_EVENTS.c.timestamp < before, sa.or_(kind.is_(None), kind.in_(_names(LOG_LINES))))


def _remove(storage: SqlEventLogStorage, table: sa.Table, which: sa.ColumnElement[bool]) -> int:
    """Remove these rows batch by batch, with the tags of events; returns how many they were."""
    count = 0
    while True:
        ids = sa.select(table.c.id).where(which).limit(BATCH).scalar_subquery()
        with storage.index_transaction() as connection:
            gone = connection.execute(table.delete().where(table.c.id.in_(ids)).returning(table.c.id)).scalars().all()
            if table is _EVENTS and gone:
                connection.execute(AssetEventTagsTable.delete().where(AssetEventTagsTable.c.event_id.in_(gone)))
        count += len(gone)
        if len(gone) < BATCH:
            return count


@dg.op(out=dg.Out(dg.Nothing))
def cut_back_history(context: dg.OpExecutionContext) -> None:
    """Remove what is old from Dagster's own database, and say how much."""
    removed = cut_back(context.instance, datetime.now(UTC))
    context.log.info(", ".join(f"{count} {what}" for what, count in removed.told().items()) + " removed")


@dg.job(
    description="Cuts back what Dagster keeps of old runs; the state of every partition and check stays.",
    executor_def=dg.in_process_executor,
    tags=NEVER_RETRIED,
)
def maintenance_job() -> None:
    """One step."""
    cut_back_history()
