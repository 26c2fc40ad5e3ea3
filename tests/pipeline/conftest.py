"""A whole small world per test: one seeded scenario, both simulators over their real wire, a migrated database."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import pytest
from psycopg2 import sql

from apex_pipeline.brokers.contract import BrokerPort
from apex_pipeline.brokers.futu.port import FutuBroker, FutuSettings
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.brokers.ib.simulator import FlexSimulator
from apex_pipeline.brokers.scenario import Scenario, Truth
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import Ask, LoadScope
from apex_pipeline.extraction import Ingested
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
from apex_pipeline.store.tables import RAW_KINDS, STATEMENT_TABLES, raw_table
from tests.conftest import clone, made_once
from tests.store.rows import query

TODAY = datetime.now(UTC).date()
"""The database's clock decides which days are final, so the large scenario ends yesterday."""

YESTERDAY = TODAY - timedelta(days=1)
TOKEN, QUERY_ID = "a-token-for-the-simulator", "4711"
LOADED = "apex_test_template_loaded"
RAW_TABLES = tuple(raw_table(broker, kind).name for broker, kinds in RAW_KINDS.items() for kind in kinds)
NORM_TABLES = (
    "orders_norm", "trades_norm", "fees_norm", "instruments", "fee_allocations", "cash_movements", "broker_positions",
    "broker_balances", "payload_drift", "order_strategy_map", "strategies", "strategy_chains", "chain_gains",
    "recon_breaks", *STATEMENT_TABLES,
)  # fmt: skip
OF_WINDOWS = {
    "sections_raw_ib": (
        "payload ? '_from' OR payload ->> '_section' IN ('_query', 'SecuritiesInfo', 'PriorPeriodPositions')"
    ),
    "balances_raw_ib": "record_key LIKE 'flex:%'",
    "broker_figures": "section <> 'EquitySummaryInBase'",
    "broker_funds": "from_date IS NOT NULL",
    "recon_breaks": "state = 'CLOSED' OR check_name = 'time_weighted_return_equals_the_brokers'",
}
"""Rows that a statement tells of the very days it is about: other windows tell others, of the same trades. And what
disagreed for a while, because another order of loading has another past."""
WHEN_AND_BY_WHOM = frozenset({"fetched_at", "load_id", "generated_at", "first_seen_at", "last_seen_at", "as_of"})
"""Columns that tell of the loading and not of the business."""

Rows = dict[str, list[str]]


def first_weekday(day: date) -> date:
    """The day itself or the Monday after it: no statement begins on a weekend."""
    return day + timedelta(days=(7 - day.weekday()) % 7 if day.isoweekday() > 5 else 0)


def unlimited(_budget: str) -> None:
    """No rate limit: the simulators' windows are scaled away."""


@dataclass
class World:
    """Both simulators telling one scenario, the brokers that read them, and the database."""

    scenario: Scenario
    db: Database
    opend: OpenDSimulator
    flex: FlexSimulator
    futu: FutuBroker
    ib: IbBroker

    @property
    def brokers(self) -> tuple[BrokerPort, ...]:
        return self.futu, self.ib

    @property
    def today(self) -> date:
        """The day after the scenario, when its last statement is out."""
        return self.scenario.end + timedelta(days=1)

    def ask(self, first: date | None = None, last: date | None = None, *, force: bool = False) -> Ask:
        return Ask(first or self.scenario.start, last or self.today, self.today, force=force)

    def load(self, ask: Ask | None = None, *, only: BrokerPort | None = None) -> list[Ingested]:
        """Ingest from both brokers, or from one."""
        ask, ports = ask or self.ask(), [only] if only else self.brokers
        told = [ingest(self.db, port, unlimited, ask) for port in ports]
        for port in ports:
            ingest(self.db, port, unlimited, replace(ask, scope=LoadScope.CASH))
        return told

    def derive(self, first: date | None = None, last: date | None = None) -> Reconciled:
        """Everything after ingest."""
        first, last = first or self.scenario.start, last or self.today
        for port in self.brokers:
            normalize(self.db, port, first, last)
            end_options(self.db, port)
        classify_strategies(self.db, first, last)
        match_lots(self.db, first, last)
        value_accounts(self.db, first, last)
        tell_strategies(self.db)
        return reconcile_days(self.db, first, last)

    def run(self, ask: Ask | None = None) -> Reconciled:
        """All stages, as the assets do."""
        self.load(ask)
        return self.derive(*((ask.from_date, ask.to_date) if ask else ()))

    def count(self, table: str, broker: Broker | None = None) -> int:
        text = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
        condition = sql.SQL(" WHERE broker = {}").format(sql.Literal(broker)) if broker else sql.SQL("")
        return query(self.db.url, text + condition)[0][0]

    def sums(self, table: str, broker: Broker) -> dict[str, Decimal]:
        """Nonzero sums of the amounts by currency; of trades only those in force count."""
        text = sql.SQL("SELECT currency, sum(amount) FROM {} WHERE broker = {} AND {} GROUP BY 1").format(
            sql.Identifier(table),
            sql.Literal(broker),
            sql.SQL("effective" if table == "trades_norm" else "true"),
        )
        return {currency: total for currency, total in query(self.db.url, text) if total}

    def breaks(self, state: str = "OPEN") -> list[tuple[Any, ...]]:
        """(check, subject, severity, expected, actual) of the breaks in a state."""
        return query(
            self.db.url,
            "SELECT check_name, subject, severity, expected, actual FROM recon_breaks WHERE state = %s ORDER BY 1, 2",
            state,
        )


def with_endings(expected: Truth) -> dict[str, Decimal]:
    """Amounts of trades and of what ended options, by currency."""
    amounts = defaultdict(Decimal, expected.amounts)
    for currency, amount in expected.ending_amounts.items():
        amounts[currency] += amount
    return {currency: total for currency, total in amounts.items() if total}


def business_rows(url: str, tables: Sequence[str] = (*RAW_TABLES, *NORM_TABLES)) -> Rows:
    """Every row of these tables in order, without `OF_WINDOWS` and the columns that tell when it was loaded."""
    columns: defaultdict[str, list[str]] = defaultdict(list)
    for table, column in query(
        url,
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
    ):
        if column not in WHEN_AND_BY_WHOM:
            columns[table].append(column)
    found: Rows = {}
    for table in tables:
        names = sql.SQL(", ").join(map(sql.Identifier, columns[table]))
        left_out = sql.SQL(OF_WINDOWS.get(table, "false"))  # pyright: ignore[reportArgumentType] - written above
        text = sql.SQL("SELECT ROW({})::text FROM {} WHERE NOT coalesce({}, false)")
        rows = query(url, text.format(names, sql.Identifier(table), left_out))
        found[table] = sorted(text for (text,) in rows)
    return found


def written_rows(url: str, tables: Sequence[str] = (*RAW_TABLES, *NORM_TABLES)) -> Rows:
    """Where every row stands and which transaction wrote it: a row that is written again shows up."""
    text = sql.SQL("SELECT ctid::text || ' ' || xmin::text FROM {} ORDER BY 1")
    return {table: [row for (row,) in query(url, text.format(sql.Identifier(table)))] for table in tables}


class Stage:
    """Builds worlds that live until the test ends."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self._stack = stack
        self._home = home

    def world(self, scenario: Scenario, url: str) -> World:
        """Both simulators of a scenario, and brokers and a database to load them into."""
        opend = self._stack.enter_context(OpenDSimulator(scenario, time_scale=10_000))
        today = scenario.end + timedelta(days=1)
        flex = self._stack.enter_context(FlexSimulator(scenario, TOKEN, QUERY_ID, time_scale=10_000, today=today))
        db = self._stack.enter_context(Database(url))
        return World(scenario, db, opend, flex, futu_broker(opend.port, self._home, today), ib_broker(flex.url))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def futu_broker(port: int, home: Path, today: date) -> FutuBroker:
    return FutuBroker(FutuSettings(home=home, port=port), today=lambda: today)


def ib_broker(url: str) -> IbBroker:
    return IbBroker(IbSettings(url, TOKEN, QUERY_ID, poll_seconds=0.001))


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    """Enough of everything: both markets, combinations, assignments, several windows, two accounts per broker."""
    return generate(seed=11, orders=70, days=400, end=YESTERDAY)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack, tmp_path / "futu")


@pytest.fixture
def world(stage: Stage, scenario: Scenario, database_url: str) -> World:
    """A world that nothing has been loaded from yet."""
    return stage.world(scenario, database_url)


@pytest.fixture(scope="session")
def loaded_once(server_url: str, template: str, scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database that the whole scenario has been loaded into."""

    def load(url: str) -> None:
        with ExitStack() as stack:
            Stage(stack, tmp_path_factory.mktemp("loaded")).world(scenario, url).run()

    return made_once(server_url, LOADED, load, template)


@pytest.fixture
def loaded(stage: Stage, scenario: Scenario, server_url: str, loaded_once: str) -> Iterator[World]:
    """A world whose whole scenario has been loaded once, in a database of this test's own."""
    for url in clone(server_url, loaded_once):
        yield stage.world(scenario, url)


@pytest.fixture
def empty_clone(server_url: str, template: str) -> Iterator[str]:
    """A second migrated database, for tests that compare two."""
    yield from clone(server_url, template)
