"""A step goes to another worker when its own is gone, and only then; each promise is tried without what keeps it."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from apex_pipeline.orchestration.celery_steps import application
from apex_pipeline.orchestration.executors import ANY_WORKER
from apex_pipeline.settings import ExecutionSettings, Executor
from tests.deploy.celery_workers import Kill, Worker, workers
from tests.deploy.redis_server import Redis, redis_server
from tests.deploy.sleepers import FORGETFUL, SLEEP, WITHOUT_LEASES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

LEASE_SECONDS = 6.0
LONG = 3 * LEASE_SECONDS
GRACE_SECONDS = 60


@dataclass(frozen=True)
class Sleepers:
    """Two workers whose steps sleep, and somebody to send them steps."""

    app: Celery
    redis: Redis
    both: list[Worker]
    folder: Path

    def send(self, seconds: float) -> Any:
        """A step of so many seconds."""
        return self.app.send_task(SLEEP, (seconds, str(self.folder)), queue=ANY_WORKER)

    def marks(self, what: str) -> int:
        """How often the step was begun, or ended."""
        return len(list(self.folder.glob(f"{what}-*")))

    def until(self, what: str, count: int, seconds: float) -> bool:
        """Whether it was begun or ended so often before the time is over."""
        deadline = time.monotonic() + seconds
        while self.marks(what) < count:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def who_works(self) -> Worker:
        """The worker that has the step."""
        (working,) = [worker for worker in self.both if worker.steps_under_way()]
        return working

    def kill_who_works(self, how: Kill) -> None:
        """Kill the worker that has the step."""
        assert self.who_works().kill(how)


@contextmanager
def sleepers(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str = "") -> Generator[Sleepers]:
    with redis_server(folder / "redis") as redis:
        monkeypatch.setenv("APEX_EXECUTOR", Executor.CELERY)
        monkeypatch.setenv("APEX_CELERY_BROKER_URL", redis.url)
        monkeypatch.setenv("APEX_CELERY_LEASE_SECONDS", str(LEASE_SECONDS))
        monkeypatch.setenv("SLEEPERS", kind)
        told = ExecutionSettings(Executor.CELERY, redis.url, redis.url, LEASE_SECONDS)
        marks = folder / "marks"
        marks.mkdir()
        with workers(folder / "workers", "tests.deploy.sleepers") as both:
            for worker in both:
                worker.wait_until_ready()
            yield Sleepers(application(told), redis, list(both), marks)


def test_a_step_longer_than_its_lease_stays_with_a_worker_that_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sleepers(tmp_path, monkeypatch) as many:
        many.send(LONG).get(timeout=GRACE_SECONDS + LONG)
        time.sleep(LEASE_SECONDS)
        assert (many.marks("begun"), many.marks("ended")) == (1, 1)


def test_without_renewal_it_would_be_done_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above."""
    with sleepers(tmp_path, monkeypatch, WITHOUT_LEASES) as many:
        many.send(LONG)
        assert many.until("begun", 2, GRACE_SECONDS)


@pytest.mark.parametrize("how", list(Kill))
def test_the_step_of_a_killed_worker_is_done_by_another_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Kill
) -> None:
    with sleepers(tmp_path, monkeypatch) as many:
        sent = many.send(LEASE_SECONDS)
        assert many.until("begun", 1, GRACE_SECONDS)
        time.sleep(0.5)
        many.kill_who_works(how)
        sent.get(timeout=GRACE_SECONDS)
        assert (many.marks("begun"), many.marks("ended")) == (2, 1)


def test_a_step_that_one_worker_gave_back_and_another_lost_is_done_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sleepers(tmp_path, monkeypatch) as many:
        sent = many.send(2 * LEASE_SECONDS)
        assert many.until("begun", 1, GRACE_SECONDS)
        time.sleep(0.5)
        first, begun = many.who_works(), 1
        while many.who_works() is first:  # which gives it back, and may be the one who takes it again
            first.kill(Kill.CHILD)
            begun += 1
            assert many.until("begun", begun, GRACE_SECONDS)
            time.sleep(0.5)
        many.kill_who_works(Kill.MACHINE)
        sent.get(timeout=GRACE_SECONDS)
        assert many.marks("ended") == 1


def test_without_late_acknowledgement_it_would_be_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above."""
    with sleepers(tmp_path, monkeypatch, FORGETFUL) as many:
        many.send(LEASE_SECONDS)
        assert many.until("begun", 1, GRACE_SECONDS)
        time.sleep(0.5)
        many.kill_who_works(Kill.MACHINE)
        assert not many.until("begun", 2, 3 * LEASE_SECONDS)
        assert many.marks("ended") == 0


def test_a_restart_of_redis_loses_no_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sleepers(tmp_path, monkeypatch) as many:
        sent = [many.send(LEASE_SECONDS).id for _ in range(3)]  # two under way, one waiting
        assert many.until("begun", 2, GRACE_SECONDS)
        many.redis.kill()
        time.sleep(1)
        many.redis.start()
        deadline = time.monotonic() + 2 * GRACE_SECONDS
        while not all(many.app.AsyncResult(one).successful() for one in sent):
            assert time.monotonic() < deadline, [many.app.AsyncResult(one).state for one in sent]
            time.sleep(1)
        assert many.marks("ended") >= len(sent)
