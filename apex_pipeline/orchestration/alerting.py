"""The sensor that tells people: each minute it looks at the record and at Dagster's failed runs, and sends what is due.

It looks at runs that failed lately, instead of being called once for each: whatever happens to a tick, the next one
finds the same runs, and which of them were told is known in the business database. Jobs that run every few minutes are
told once for each error, until one of their runs succeeds: a broker that is away for hours is one thing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice

import dagster as dg

from apex_pipeline import settings
from apex_pipeline.domain.alerts import OF_RUNS, FailedRun
from apex_pipeline.notify.channels import channels_of
from apex_pipeline.notify.outbox import tick
from apex_pipeline.orchestration.described import sensor
from apex_pipeline.orchestration.maintenance import FREQUENT_JOBS
from apex_pipeline.orchestration.resources import Storage
from apex_pipeline.orchestration.tags import BROKER_TAG, RANGE_END, RANGE_START

SECONDS_BETWEEN = 60
LATELY = timedelta(days=3)
"""How long a failed run is news: a machine that was off over a weekend still tells of Friday's."""

RETRY_DUE = timedelta(minutes=30)
"""A run that was to be tried again and was not by then has failed for good."""

MOST_RUNS = 500
FEW_RUNS = 50
"""Of a frequent job: more than enough to find the newest one of every broker."""
_ENDED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
_NUMBERS = re.compile(r"\d+")
PARTITION, FIRST_RUN, RETRIED_BY = "dagster/partition", "dagster/root_run_id", "dagster/auto_retry_run_id"


@sensor(minimum_interval_seconds=SECONDS_BETWEEN, default_status=dg.DefaultSensorStatus.RUNNING)
def alerts(context: dg.SensorEvaluationContext, storage: Storage) -> dg.SkipReason:
    """Tells a webhook and mail of failed runs, refusals, missed deadlines, ERROR breaks and unknown words."""
    configured = settings.load()
    channels = channels_of(configured.alerts)
    if not channels:
        return dg.SkipReason("no channel is configured: see docs/alerts.md")
    at = datetime.now(UTC)
    with storage.open() as db:
        ticked = tick(db, configured, channels, at, lambda known: failed_runs(context.instance, known, at))
    for failure in ticked.failures:
        context.log.warning(failure)
    return dg.SkipReason(str(ticked))


def failed_runs(instance: dg.DagsterInstance, known: set[str], at: datetime) -> list[FailedRun]:
    """Runs that failed lately and are not tried again; of those that are known, without their errors."""
    found = dict[str, FailedRun]()
    for record in islice(_failures(instance, at), MOST_RUNS):
        failed = _failed(record)
        if failed.first_run_id in found or _is_tried_again(record.dagster_run, failed.ended_at, at):
            continue
        errors = [] if failed.fingerprint in known else _errors(instance, failed.run_id)
        found[failed.first_run_id] = replace(failed, errors=errors)
    lasting = [each for job in FREQUENT_JOBS for each in _lasting(instance, job, known, at)]
    return [*reversed(found.values()), *lasting]


def _failures(instance: dg.DagsterInstance, at: datetime) -> Iterator[dg.RunRecord]:
    """Runs that failed lately, newest first, but for those of jobs that run every few minutes."""
    lately = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=at - LATELY)
    cursor: str | None = None
    while page := instance.get_run_records(filters=lately, limit=MOST_RUNS, cursor=cursor):
        yield from (record for record in page if record.dagster_run.job_name not in FREQUENT_JOBS)
        cursor = page[-1].dagster_run.run_id


def _lasting(instance: dg.DagsterInstance, job: str, known: set[str], at: datetime) -> Iterator[FailedRun]:
    """What fails of a frequent job, for each broker that it is run for: every error since the last success, once."""
    lately = dg.RunsFilter(job_name=job, statuses=_ENDED, updated_after=at - LATELY)
    seen = set[str]()
    for record in instance.get_run_records(filters=lately, limit=FEW_RUNS):
        run = record.dagster_run
        what = f"{job}/{run.tags.get(BROKER_TAG, '')}:"
        if what in seen:
            continue
        seen.add(what)
        if run.status is dg.DagsterRunStatus.FAILURE:
            failed, errors = _failed(record), _errors(instance, run.run_id)
            yield replace(failed, errors=errors, lasting=what + _fingerprint_of(errors))
            told = (one.removeprefix(OF_RUNS) for one in sorted(known) if one.startswith(f"{OF_RUNS}{what}"))
            yield from (replace(failed, lasting=one) for one in told)  # it fails in turns


def _fingerprint_of(errors: Sequence[str]) -> str:
    """The same for errors that differ in numbers only: attempts, ids and seconds change from run to run."""
    return sha256(_NUMBERS.sub("0", "\n".join(errors)).encode()).hexdigest()[:16]


def _failed(record: dg.RunRecord) -> FailedRun:
    run = record.dagster_run
    ended_at = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp
    return FailedRun(run.run_id, run.tags.get(FIRST_RUN, run.run_id), run.job_name.strip("_"), ended_at, _days(run))


def _is_tried_again(run: dg.DagsterRun, ended_at: datetime, at: datetime) -> bool:
    return RETRIED_BY in run.tags or (run.is_complete_and_waiting_to_retry and at - ended_at < RETRY_DUE)


def _days(run: dg.DagsterRun) -> str:
    first, last = run.tags.get(RANGE_START), run.tags.get(RANGE_END)
    if first and last:
        return first if first == last else f"{first}..{last}"
    return run.tags.get(PARTITION, "")


def _errors(instance: dg.DagsterInstance, run_id: str) -> Sequence[str]:
    """One line for each step that failed, else the reason of the run."""
    steps = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=5).records
    told = [_step_error(record.event_log_entry.get_dagster_event()) for record in steps]
    if told:
        return told
    ends = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_FAILURE, limit=1).records
    return [end.event_log_entry.get_dagster_event().message or "" for end in ends]


def _step_error(event: dg.DagsterEvent) -> str:
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return f"{event.step_key}: {failure.user_failure_data.description}"
    error = failure.error
    cause = (error.cause or error) if error else None
    words = cause.message.strip().splitlines() if cause else []
    return f"{event.step_key}: {words[0] if words else 'failed'}"
