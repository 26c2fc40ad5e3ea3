"""A library user's world: one scenario, both simulators on their real wire, a database, settings without a file."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql

from apex_pipeline import settings
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.ib.port import today_in_new_york
from apex_pipeline.brokers.ib.simulator import FlexSimulator
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.live import Database, DatabaseStateManager, HistoryLoaderService, LoadStatus
from apex_pipeline.live.history import today
from apex_pipeline.settings import FutuSettings, IbSettings, Settings
from tests.conftest import clone, made_once
from tests.store.rows import query

SPEED = 10_000
"""The simulators' limits pass so many times faster than the real ones."""

TODAY = today()
NEWEST = min(TODAY, today_in_new_york()) - timedelta(days=1)
"""The newest day that is over in Hong Kong and in New York; scenarios end there."""

LOOKBACK = 130
"""Days that a load without dates reaches back at first: little more than the scenario, for speed."""

OLDER = 125
"""Days back: before the scenario, and not as far as that."""

LOADED = "apex_test_template_history"
TOKEN, QUERY_ID = "a-token-for-the-simulator", "4711"


@dataclass
class Desk:
    """What a script has: a loader with its database and settings; and the simulators that answer it."""

    scenario: Scenario
    opend: OpenDSimulator
    flex: FlexSimulator
    loader: HistoryLoaderService

    @property
    def db(self) -> Database:
        return self.loader.db

    @property
    def config(self) -> Settings:
        return self.loader.config

    @property
    def asked(self) -> int:
        """Requests that both simulators have seen."""
        return len(self.opend.requests) + len(self.flex.requests)

    def other(self, config: Settings | None = None, *, dry_run: bool = False) -> HistoryLoaderService:
        """Another loader into the same database."""
        return HistoryLoaderService(self.db, config or self.config, dry_run)

    def changed(self, **ib: Any) -> HistoryLoaderService:
        """A loader with other settings of IB."""
        return self.other(replace(self.config, ib=replace(self.config.ib, **ib)))

    def counts(self, *tables: str) -> list[int]:
        """Rows of each table."""
        text = sql.SQL("SELECT count(*) FROM {}")
        return [query(self.db.url, text.format(sql.Identifier(name)))[0][0] for name in tables]


def configured(home: Path, url: str, opend: OpenDSimulator, flex: FlexSimulator) -> Settings:
    """Settings for the simulators; what is left out is the default, whatever the machine's environment says."""
    return replace(
        settings.load(environ={}, config_file=home / "no.yaml"),
        home=home,
        database_url=url,
        lookback_days=LOOKBACK,
        futu=FutuSettings("127.0.0.1", opend.port, None, (), (), 10, 30 / SPEED, 400),
        ib=IbSettings(flex.url, TOKEN, QUERY_ID, 10 * SPEED, 0.001),
    )


class Desks:
    """Makes desks that live until the test ends."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self._stack = stack
        self._home = home

    def desk(self, scenario: Scenario, url: str, today: date | None = None) -> Desk:
        """Simulators of a scenario and a loader into the database at `url`; `today`: what OpenD takes for today."""
        opend = self._stack.enter_context(OpenDSimulator(scenario, time_scale=SPEED, today=today))
        flex = self._stack.enter_context(FlexSimulator(scenario, TOKEN, QUERY_ID, time_scale=SPEED))
        db = self._stack.enter_context(Database(url))
        return Desk(scenario, opend, flex, HistoryLoaderService(db, configured(self._home, url, opend, flex)))


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    """Sixty orders at each broker in a hundred and twenty days."""
    return generate(seed=23, orders=60, days=120, end=NEWEST)


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Desks]:
    with ExitStack() as stack:
        yield Desks(stack, tmp_path)


@pytest.fixture
def desk(desks: Desks, scenario: Scenario, database_url: str) -> Desk:
    """A desk that has loaded nothing yet."""
    return desks.desk(scenario, database_url)


@pytest.fixture(scope="session")
def loaded_once(server_url: str, template: str, scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database that all history has been loaded into."""

    def load(url: str) -> None:
        with ExitStack() as stack:
            desk = Desks(stack, tmp_path_factory.mktemp("loaded")).desk(scenario, url)
            assert desk.loader.load_all_history(days_ago(OLDER), TODAY).status is LoadStatus.SUCCESS

    return made_once(server_url, LOADED, load, template)


@pytest.fixture
def loaded(desks: Desks, scenario: Scenario, server_url: str, loaded_once: str) -> Iterator[Desk]:
    """A desk that has loaded all history, in a database of this test's own."""
    for url in clone(server_url, loaded_once):
        yield desks.desk(scenario, url)


@pytest.fixture
def other_url(server_url: str, template: str) -> Iterator[str]:
    """A second migrated database, for tests that compare two."""
    yield from clone(server_url, template)


@pytest.fixture
def state(database_url: str) -> Iterator[DatabaseStateManager]:
    with DatabaseStateManager(database_url, "one") as manager:
        yield manager


@pytest.fixture
def other(database_url: str) -> Iterator[DatabaseStateManager]:
    """Another process, as far as the database can tell."""
    with DatabaseStateManager({"url": database_url, "min_connections": 1}, "other") as manager:
        yield manager


def days_ago(days: int) -> date:
    """The day so many days before today."""
    return TODAY - timedelta(days=days)
