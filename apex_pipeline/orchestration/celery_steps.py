"""dagster-celery's application for workers, with three additions of ours.

A worker that lives renews the lease of the steps it works on: Redis knows only how long ago a step was taken, so
without it the time limit would have to exceed the longest step, and the step of a machine that died would wait for that
long. A step of a run that is over is not begun. And of the events of a step its run is sent only what it acts on: the
others are in Dagster's database, and a year of them is 60 MB.
"""

import json
import time
from typing import Any

from celery import Celery, Task, bootsteps
from dagster import DagsterEventType, DagsterInstance
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import unpack_value
from dagster_celery.config import DEFAULT_CONFIG, dict_wrapper
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_task

from apex_pipeline.orchestration.executors import RESTORES_PER_LEASE, celery_options
from apex_pipeline.settings import ExecutionSettings

STORED_ONLY = frozenset(
    kind.value
    for kind in (
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.ASSET_OBSERVATION,
        DagsterEventType.ASSET_CHECK_EVALUATION,
    )
)


class Leases(bootsteps.StartStopStep):
    """Renews the leases of this worker's steps, in its main process, which no step can keep from doing so."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        self._timer: Any = None
        super().__init__(parent, **options)

    def start(self, parent: Any) -> None:
        """Begin with a new connection to the broker."""
        lease = parent.app.conf.broker_transport_options["visibility_timeout"]
        self._timer = parent.timer.call_repeatedly(lease / RESTORES_PER_LEASE, renew, (parent,))

    def stop(self, parent: Any) -> None:  # noqa: ARG002  # as Celery calls it
        """End with the connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def renew(consumer: Any) -> None:
    """Note for every step that this worker holds that it still does; one that was given to another stays given."""
    held = consumer.task_consumer.channel.qos
    # What kombu keeps of taken messages: by delivery tag in the process, less those given back, and by the time of
    # taking in Redis. A message keeps its tag, so one given back may be another worker's by now.
    tags = [tag for tag in held._delivered if tag not in held._dirty]  # noqa: SLF001
    if tags:
        with held.channel.conn_or_acquire() as redis:
            redis.zadd(held.unacked_index_key, dict.fromkeys(tags, time.time()), xx=True)


class Step(Task):
    """One step of a run."""

    def __call__(self, execute_step_args_packed: Any, executable_dict: Any) -> list[str]:
        """Do the step; returns the events that its run waits for, and none if the run ended before."""
        step = unpack_value(execute_step_args_packed, as_type=ExecuteStepArgs)
        with (
            DagsterInstance.get() if step.instance_ref is None else DagsterInstance.from_ref(step.instance_ref) as found
        ):
            run = found.get_run_by_id(step.run_id)
        if run is None or run.is_finished:
            return []
        events: list[str] = super().__call__(execute_step_args_packed, executable_dict)
        return [event for event in events if json.loads(event)["event_type_value"] not in STORED_ONLY]


def application(execution: ExecutionSettings) -> Celery:
    """The application of a worker, which forks a child for each step."""
    made = make_app(
        {
            "broker": execution.celery_broker_url,
            "backend": execution.celery_result_url,
            "config_source": dict_wrapper({**DEFAULT_CONFIG, **celery_options(execution.celery_lease_seconds)}),
        }
    )
    made.conf.worker_max_tasks_per_child = 1
    # Dagster prints every event, and all of them are in its database
    made.conf.worker_redirect_stdouts_level = "DEBUG"
    steps: Any = made.steps
    steps["consumer"].add(Leases)
    create_task(made, base=Step)
    return made
