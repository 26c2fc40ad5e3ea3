"""Applications of workers for tests: steps that only sleep, and one whose steps are lost with their worker."""

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

from apex_pipeline import settings
from apex_pipeline.orchestration.celery_steps import Leases, application

SLEEP = "sleep"
WITHOUT_LEASES, FORGETFUL = "without_leases", "forgetful"


def sleep(seconds: float, folder: str) -> None:
    """A step that says when it begins and when it ends, in files of its own."""
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    (Path(folder) / f"begun-{mark}").touch()
    time.sleep(seconds)
    (Path(folder) / f"ended-{mark}").touch()


def sleeping() -> Celery:
    """The application of a worker, with a step that sleeps instead of those of Dagster."""
    made = application(settings.load().execution)
    made.task(name=SLEEP)(sleep)
    return made


def _without_leases() -> Celery:
    made = sleeping()
    steps: Any = made.steps
    steps["consumer"].discard(Leases)
    return made


def _forgetful() -> Celery:
    made = sleeping()
    made.conf.task_acks_late = made.conf.task_reject_on_worker_lost = False
    return made


app = {WITHOUT_LEASES: _without_leases, FORGETFUL: _forgetful}.get(os.environ.get("SLEEPERS", ""), sleeping)()
