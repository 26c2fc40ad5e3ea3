"""A whole product in a folder: PostgreSQL, Dagster's home and storage, and both brokers simulated.

`place` makes one; tests ask it to load days and look at what Dagster stored.
"""

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pytest
from dagster._core.event_api import EventLogRecord

from apex_pipeline import settings
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.ib.simulator import FlexSimulator
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.checks import CHECKS, CheckName
from apex_pipeline.orchestration.home import instance, prepare
from apex_pipeline.orchestration.partitions import daily
from apex_pipeline.orchestration.resources import Progress
from apex_pipeline.orchestration.running import Outcome, run_range
from apex_pipeline.settings import FutuSettings, IbSettings, Settings, sibling_database
from apex_pipeline.store.db import Database, database_name
from tests.conftest import clone, made_once, migrated_template

TOKEN, QUERY = "simulated-flex-token-1", "1"
SPEED = 300
"""The simulators' limits and pauses pass so many times faster than the real ones."""
LAST = date(2025, 6, 27)
DAYS = 20
FIRST = LAST - timedelta(days=DAYS - 1)
BROKERS = ("futu", "ib")
DAGSTER_TEMPLATE = "apex_test_template_dagster"


def keys(first: date = FIRST, last: date = LAST) -> list[str]:
    """The partition keys of these days."""
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


@dataclass(frozen=True)
class Place:
    """A product with its state in `home`; `days` is the first and last day that the scenario trades."""

    configured: Settings
    scenario: Scenario
    db: Database
    instance: dg.DagsterInstance
    futu: OpenDSimulator
    flex: FlexSimulator
    folder: Path
    days: tuple[date, date] = field(default=(FIRST, LAST))

    def run(
        self, days: tuple[date, date] | None = None, brokers: Sequence[str] = BROKERS, **config: Any
    ) -> list[Outcome]:
        """Load these days as `apex backfill` does."""
        first, last = days or self.days
        return run_range(first, last, brokers, config, Progress())

    def materialized(self, asset: str) -> set[str]:
        """The partitions of an asset that Dagster calls materialized."""
        return self.instance.get_materialized_partitions(dg.AssetKey(asset))

    def check_status(self, check: CheckName) -> dict[str, str]:
        """What the UI shows for each partition of a check: status by partition key."""
        key = dg.AssetCheckKey(dg.AssetKey(CHECKS[check].table), check.value)
        state = self.instance.event_log_storage.get_asset_check_state([(key, daily)])[key]
        return {
            partition: status.value
            for status, subset in state.subsets.items()
            for partition in subset.subset_value.get_partition_keys()
        }

    def events(self, run_id: str, kind: dg.DagsterEventType) -> list[Any]:
        """The events of one type of a run, oldest first."""
        records: Sequence[EventLogRecord] = self.instance.get_records_for_run(run_id, of_type=kind, limit=5000).records
        return [record.event_log_entry.get_dagster_event() for record in records]


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    """Thirty orders at each broker in twenty days."""
    return generate(7, 30, DAYS, LAST)


@pytest.fixture
def place(server_url: str, scenario: Scenario, tmp_path: Path) -> Iterator[Place]:
    """A product with nothing loaded."""
    with made_place(server_url, scenario, tmp_path) as made:
        yield made


@contextmanager
def made_place(
    server_url: str, scenario: Scenario, home: Path, change: Callable[[Settings], Settings] = lambda told: told
) -> Generator[Place]:
    """Make the databases, the home and the simulators; `change` sees the settings before they are in force."""
    with ExitStack() as stack:
        url, dagster_url = stack.enter_context(databases(server_url))
        futu = stack.enter_context(OpenDSimulator(scenario, time_scale=SPEED))
        flex = stack.enter_context(FlexSimulator(scenario, TOKEN, QUERY, time_scale=SPEED))
        configured = change(_settings(home, url, futu, flex))
        stack.enter_context(environment_restored())
        settings.export(configured)
        folder = prepare(home, dagster_url, configured.execution.executor)
        db = stack.enter_context(Database(url))
        yield Place(configured, scenario, db, stack.enter_context(instance()), futu, flex, folder)


def _settings(home: Path, url: str, futu: OpenDSimulator, flex: FlexSimulator) -> Settings:
    return replace(
        settings.load(environ={}, config_file=home / "no.yaml"),
        home=home,
        database_url=url,
        schedules=False,
        futu=FutuSettings("127.0.0.1", futu.port, None, (), (), 10, 30 / SPEED, 400),
        ib=IbSettings(flex.url, TOKEN, QUERY, 10 * SPEED, 10 / SPEED),
    )


@contextmanager
def databases(server_url: str) -> Generator[tuple[str, str]]:
    """A migrated business database and Dagster's beside it, without runs; dropped afterwards."""
    cloned = contextmanager(clone)
    with cloned(server_url, migrated_template(server_url)) as url:
        stored = made_once(server_url, DAGSTER_TEMPLATE, _make_storage)
        with cloned(server_url, stored, database_name(sibling_database(url))) as dagster_url:
            yield url, dagster_url


def _make_storage(url: str) -> None:
    """Have Dagster make its tables, which takes it seconds."""
    with environment_restored(), TemporaryDirectory() as home:
        prepare(Path(home), url)
        with instance():
            pass


@contextmanager
def environment_restored() -> Generator[None]:
    before: Mapping[str, str] = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
