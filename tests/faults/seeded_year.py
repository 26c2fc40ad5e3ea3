"""The clean years that faults are planted in: both brokers of one scenario over their real wire, loaded in parts.

A year is loaded as people load it: months at Interactive Brokers, and some weeks day by day, which are the days that
faults are planted in; at Futu the history in windows and the cash flow day by day. The part that a fault is about
comes last, so that all the rest is loaded once and cloned.
"""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from unittest.mock import patch

from apex_pipeline.brokers.contract import BrokerPort
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.futu.simulator_answers import Gateway
from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.brokers.ib.simulator import FlexSimulator
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import Ask, LoadScope
from apex_pipeline.errors import BrokerError
from apex_pipeline.pipeline import (
    Reconciled,
    classify_strategies,
    end_options,
    ingest,
    match_lots,
    normalize,
    reconcile_days,
    tell_strategies,
    value_accounts,
)
from apex_pipeline.store.db import Database
from tests.conftest import made_once
from tests.faults.seeded_flex import Statements
from tests.faults.seeded_live import lived
from tests.faults.seeded_opend import Answers
from tests.pipeline.conftest import QUERY_ID, TOKEN, futu_broker, unlimited

ORDERS, DAYS, END = 100, 365, date(2026, 3, 9)
DAY = timedelta(days=1)
PREFIX = "apex_seeded"
"""How the databases of clean years are named."""
SEEDS = ((27, 105), (17, 110), (22, 110), (29, 70), (5, 200))
"""Seeds of scenarios, and the day of each on which the weeks begin that hold one of everything: stocks and options
opened and closed, an expiry, an assignment or exercise, a dividend and its tax, a conversion, a cancelled trade."""
DAILY = 35
"""Days that are told one by one."""

PlantFlex = Callable[[Statements], None]
"""Changes what is told."""


class Lacks(StrEnum):
    """What a prepared database has not been told yet."""

    NOTHING = "nothing"
    STATEMENTS = "statements"
    HISTORY = "history"
    CASH_FLOW = "cash_flow"


@dataclass(frozen=True)
class Place:
    """A year, and the days of it that Interactive Brokers tells one by one."""

    number: int
    seed: int
    first: date
    last: date

    @property
    def scenario(self) -> Scenario:
        """All that really happened."""
        return scenario_of(self.seed)

    @property
    def start(self) -> date:
        return self.scenario.start

    @property
    def today(self) -> date:
        """The day after the year, when its last statement is out."""
        return END + DAY

    def days(self) -> list[date]:
        """The days that Interactive Brokers tells one by one."""
        return [self.first + DAY * number for number in range(DAILY)]

    @property
    def cash_days(self) -> list[date]:
        """The days whose cash flow is told last; an option is assigned at Futu in them."""
        ended = next(one.trade_date for one in self.scenario.events if one.broker is Broker.FUTU and one.related)
        return [ended + DAY * number for number in range(-10, DAILY - 10)]


def place(number: int) -> Place:
    """The place of a number; there are as many as seeds."""
    seed, offset = SEEDS[number]
    first = END - (DAYS - 1) * DAY + offset * DAY
    return Place(number, seed, first, first + (DAILY - 1) * DAY)


@cache
def scenario_of(seed: int) -> Scenario:
    """A scenario, made once for each process."""
    return generate(seed, ORDERS, DAYS, END)


class Loading:
    """Loads parts of a year into a database and derives what follows from them."""

    def __init__(self, where: Place, db: Database, home: Path) -> None:
        self.where, self.db, self._home = where, db, home
        self.today = where.today
        self.refused: list[str] = []
        """What a broker's answer was refused with."""

    def statements(
        self, first: date, last: date, *, daily: bool, plant: PlantFlex | None = None, scenario: Scenario | None = None
    ) -> None:
        """What Interactive Brokers tells of these days, in one answer; `scenario` if not that of the year."""
        simulator = FlexSimulator(
            scenario or self.where.scenario, TOKEN, QUERY_ID, time_scale=10_000, today=self.where.today, extras=True,
            breakout_by_day=daily,
        )  # fmt: skip
        told = Statements(simulator.statement(first, last))
        if plant:
            plant(told)
        content = told.content()

        def planted(_first: date, _last: date) -> bytes:
            return content

        with patch.object(simulator, "statement", planted), simulator:
            self._ingest(_ib_broker(simulator.url), Ask(first, last, self.where.today, force=True))

    def months(self) -> None:
        """All days before and after those that are told one by one, newest first."""
        for first, last in reversed(months(self.where)):
            self.statements(first, last, daily=False)

    def history(self, answers: Answers | None = None, *, again: bool = False) -> None:
        """Futu's orders, deals, fees and positions."""
        with self._opend(answers) as port:
            self._ingest(port, Ask(self.where.start, self.today, self.today, force=again))

    def cash_flow(self, first: date, last: date, answers: Answers | None = None, *, again: bool = False) -> None:
        """Futu's cash flow."""
        with self._opend(answers) as port:
            self._ingest(port, Ask(first, last, self.today, force=again, scope=LoadScope.CASH))

    def read(self) -> None:
        """Make rows of what was told."""
        for port in (futu_broker(1, self._home, self.where.today), _ib_broker("http://127.0.0.1:9")):
            normalize(self.db, port, self.where.today, self.where.today)
            end_options(self.db, port)

    def derive(self) -> None:
        """Everything between what was told and its reconciliation, where something changed."""
        self.read()
        classify_strategies(self.db, self.where.start, self.today)
        match_lots(self.db, self.where.start, self.today)
        value_accounts(self.db, self.where.start, self.today)
        tell_strategies(self.db)

    @staticmethod
    def now() -> datetime:
        """This instant."""
        return datetime.now(UTC)

    def reconcile(self, first: date | None = None, last: date | None = None) -> Reconciled:
        """Run every check, over the whole year if not told otherwise."""
        return reconcile_days(self.db, first or self.where.start, last or self.today)

    def _ingest(self, port: BrokerPort, ask: Ask) -> None:
        try:
            ingest(self.db, port, unlimited, ask)
        except BrokerError as error:
            self.refused.append(str(error))

    @contextmanager
    def _opend(self, answers: Answers | None) -> Generator[BrokerPort]:
        with ExitStack() as stack:
            if answers:
                stack.enter_context(patch.object(Gateway, "answer", answers.instead_of(Gateway.answer)))
            simulator = stack.enter_context(OpenDSimulator(self.where.scenario, time_scale=10_000))
            yield futu_broker(simulator.port, self._home, self.today)


def prepared(server_url: str, template: str, where: Place, home: Path, lacks: Lacks) -> str:
    """The name of a database that holds the year but for what it lacks; what lacks nothing is derived as well."""

    def most(url: str) -> None:
        with Database(url) as db:
            loading = Loading(where, db, home)
            loading.months()
            loading.cash_flow(where.start, where.cash_days[0] - DAY)
            loading.cash_flow(where.cash_days[-1] + DAY, where.today)
            loading.read()

    def rest(url: str) -> None:
        with Database(url) as db:
            loading = Loading(where, db, home)
            if lacks is not Lacks.STATEMENTS:
                loading.statements(where.first, where.last, daily=True)
            if lacks is not Lacks.CASH_FLOW:
                loading.cash_flow(where.cash_days[0], where.cash_days[-1])
            if lacks is not Lacks.HISTORY:
                loading.history()
            loading.read()
            if lacks is Lacks.NOTHING:
                loading.derive()
                lived(db, where.start, where.last, END)
                loading.reconcile()

    base = made_once(server_url, f"{PREFIX}_{where.seed}", most, template)
    return made_once(server_url, f"{PREFIX}_{where.seed}_lacks_{lacks}", rest, base)


def months(where: Place) -> list[tuple[date, date]]:
    """Windows of a month around the days that are told one by one."""
    found: list[tuple[date, date]] = []
    for first, last in ((where.start, where.first - DAY), (where.last + DAY, END)):
        begin = first
        while begin <= last:
            end = min((begin.replace(day=1) + 31 * DAY).replace(day=1) - DAY, last)
            found.append((begin, end))
            begin = end + DAY
    return found


def _ib_broker(url: str) -> IbBroker:
    return IbBroker(IbSettings(url, TOKEN, QUERY_ID, poll_seconds=0.001))
