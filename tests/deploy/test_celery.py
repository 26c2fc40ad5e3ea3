"""Steps of a run are given to workers of Celery: nothing is lost when one is killed, and the tables are the same."""

import json
import random
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.orchestration.assets import ASSETS
from apex_pipeline.orchestration.resources import Progress
from apex_pipeline.orchestration.running import run_range
from apex_pipeline.settings import ExecutionSettings, Executor, Settings
from tests.deploy.celery_workers import Kill, Worker, workers
from tests.deploy.redis_server import redis_server
from tests.orchestration import graphql
from tests.orchestration.conftest import BROKERS, made_place
from tests.orchestration.served import Served, served_place
from tests.pipeline.conftest import Rows, business_rows

pytestmark = pytest.mark.slow

ALL = [key.to_user_string() for asset in ASSETS for key in asset.keys]
YEAR = 365
ORDERS = 300
KILLS = 20
KILLS_PER_STEP = 3
"""So that they are spread over the run: no more than so many for each step that it has finished or works on."""
SEED = 20
LEASE_SECONDS = 6.0
BARS = {"minutes_days": 0, "most_seconds": 900}
"""How many minutes are told depends on how long a broker took; days do not."""
MOST_SECONDS = 1500
"""How long the year may take with its kills, on two busy cores."""


@dataclass(frozen=True)
class Cluster:
    """A served product whose steps go to two workers over a Redis of its own."""

    served: Served
    workers: list[Worker]

    def launch(self, scenario: Scenario) -> str:
        """Load every day of the scenario, up to today, in one run; returns its id."""
        told = {graphql.RANGE_START: scenario.start.isoformat(), graphql.RANGE_END: today().isoformat()}
        return self.served.ui.launch("backfill_job", told, json.dumps({"ops": {"bars": {"config": BARS}}}))

    def finished(self, run_id: str) -> bool:
        """Whether the run has ended, however it did."""
        return self.served.ui.run(run_id)["status"] in {"SUCCESS", "FAILURE", "CANCELED"}

    def steps_done(self, run_id: str) -> int:
        """How many steps have ended well."""
        return int(self.served.ui.run(run_id)["stats"]["stepsSucceeded"])


def today() -> date:
    """Today in UTC, which every market has reached or passed."""
    return datetime.now(UTC).date()


@pytest.fixture(scope="module")
def year() -> Scenario:
    """A year of trading at both brokers, up to yesterday."""
    return generate(SEED, ORDERS, YEAR, today() - timedelta(days=1))


def by_celery(url: str, lease_seconds: float = LEASE_SECONDS) -> Any:
    """The settings with steps given to workers over this Redis."""

    def changed(told: Settings) -> Settings:
        return replace(told, execution=ExecutionSettings(Executor.CELERY, url, url, lease_seconds))

    return changed


@contextmanager
def cluster(server_url: str, scenario: Scenario, home: Path) -> Generator[Cluster]:
    """Everything running."""
    with (
        redis_server(home / "redis") as redis,
        served_place(server_url, scenario, home / "apex", by_celery(redis.url)) as served,
        workers(home / "workers") as both,
    ):
        yield Cluster(served, list(both))


@dataclass(frozen=True)
class Killed:
    """One kill: whom, how, and whether a step was under way there."""

    worker: str
    how: Kill
    in_a_step: bool


def killed_again_and_again(many: Cluster, run_id: str, drawn: random.Random) -> list[Killed]:
    """Kill a worker at random every few seconds while the run goes on, so often."""
    done: list[Killed] = []
    while len(done) < KILLS and not many.finished(run_id):
        time.sleep(drawn.uniform(1, LEASE_SECONDS))
        victim, how = drawn.choice(many.workers), drawn.choice(list(Kill))
        before = victim.steps_under_way()
        if len(done) < KILLS_PER_STEP * (1 + many.steps_done(run_id)) and victim.kill(how):
            done.append(Killed(victim.name, how, in_a_step=before > 0))
    return done


def told(kills: list[Killed], workers: list[Worker], run: dict[str, Any], seconds: float) -> str:
    """The figures of a run under kills, for people."""
    ways = {how.value: sum(kill.how is how for kill in kills) for how in Kill}
    return (
        f"{len(kills)} kills {ways}, {sum(kill.in_a_step for kill in kills)} in the middle of a step; {seconds:.0f} s; "
        f"workers started {[worker.starts for worker in workers]} times; {run['stats']}\n"
    )


@pytest.mark.timeout(MOST_SECONDS + 600)
def test_a_year_over_two_workers_one_killed_twenty_times_ends_like_one_machine(
    server_url: str, year: Scenario, tmp_path: Path
) -> None:
    with cluster(server_url, year, tmp_path / "cluster") as many:
        for worker in many.workers:
            worker.wait_until_ready()
        started = time.monotonic()
        run_id = many.launch(year)
        kills = killed_again_and_again(many, run_id, random.Random(SEED))
        run = many.served.ui.finished(run_id, MOST_SECONDS)
        sys.stdout.write(told(kills, many.workers, run, time.monotonic() - started))
        assert run["status"] == "SUCCESS"
        assert len(kills) == KILLS
        assert sum(kill.in_a_step for kill in kills) >= KILLS // 4
        disturbed = rows_of(many.served.place.db.url)
    with made_place(server_url, year, tmp_path / "alone") as alone:
        (outcome,) = run_range(year.start, today(), BROKERS, {}, Progress(), bars=BARS)
        assert outcome.succeeded
        undisturbed = rows_of(alone.db.url)
    sys.stdout.write(f"{sum(map(len, undisturbed.values()))} rows of {len(undisturbed)} tables compared\n")
    assert {table for table in undisturbed if disturbed[table] != undisturbed[table]} == set()


def rows_of(url: str) -> Rows:
    return business_rows(url, ALL)
