"""Three programs that load the same account at once keep Futu's limit together and end where one alone does."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest

from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.ib.port import today_in_new_york
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker
from apex_pipeline.live.history import today
from apex_pipeline.store.create import ensure_database
from tests.cli.program import Apex, Ended, finished
from tests.conftest import clone
from tests.pipeline.conftest import NORM_TABLES, RAW_TABLES, business_rows
from tests.store.rows import query

SPEED = 20
"""Futu's window passes so many times faster; at 100 a busy machine delays requests longer than the limiter's margin."""

WINDOW, LIMIT = 30 / SPEED, 10
LAST = min(today(), today_in_new_york()) - timedelta(days=1)
FIRST = LAST - timedelta(days=20)
RANGE = ("--from-date", str(FIRST), "--to-date", str(LAST))
CASH = 2226

DAILY_JOB = """
import sys
import dagster as dg
from apex_pipeline import settings
from apex_pipeline.orchestration.home import instance, prepare
from apex_pipeline.orchestration.assets import DERIVED
from apex_pipeline.orchestration.location import definitions
from apex_pipeline.orchestration.steps import RAW_TABLES
configured = settings.load()
prepare(configured.home, configured.dagster_database_url)
first, last, account = sys.argv[1:]
days = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
config = {"config": {"account": account, "force": True}}
selection = [*map(dg.AssetKey, RAW_TABLES["futu"]), *(key for asset in DERIVED for key in asset.keys)]
with instance() as opened:
    result = definitions().resolve_job_def("daily_job").execute_in_process(
        instance=opened, tags=days, raise_on_error=False, asset_selection=selection,
        run_config={"ops": {"futu_history": config, "futu_cash_flow": config}},
    )
sys.exit(0 if result.success else 1)
"""


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    """Three weeks whose fees and cash flow take several of Futu's windows."""
    return generate(seed=3, orders=60, days=21, end=LAST)


@pytest.fixture
def opend_simulator(scenario: Scenario) -> Iterator[OpenDSimulator]:
    with OpenDSimulator(scenario, time_scale=SPEED) as running:
        yield running


@pytest.fixture
def with_simulator(apex: Apex, opend_simulator: OpenDSimulator, dagster_url: str) -> Apex:
    """The command with the simulator, an empty storage for Dagster, and small fee calls."""
    ensure_database(dagster_url)
    apex.environment |= {
        "APEX_BROKERS": "futu",
        "FUTU_PORT": str(opend_simulator.port),
        "FUTU_WINDOW_SECONDS": str(WINDOW),
        "FUTU_BATCH_FEE_SIZE": "2",
    }
    return apex


@pytest.fixture
def other_url(server_url: str, template: str) -> Iterator[str]:
    """A second database, for the load that nobody disturbs."""
    yield from clone(server_url, template)


def daily_job(apex: Apex, account: str, **more: str) -> "subprocess.Popen[str]":
    """A run of `daily_job` in a process of its own, as a schedule launches it."""
    arguments = [sys.executable, "-c", DAILY_JOB, str(FIRST), str(LAST), account]
    return subprocess.Popen(
        arguments, cwd=apex.folder, env=apex.given(more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def three_at_once(apex: Apex, account: str, **more: str) -> list[Ended]:
    """Two backfills and a run of the daily job, begun together; each asks everything again."""
    backfill = ("backfill", *RANGE, "--account", account, "--force")
    children = [apex.start(*backfill, **more), apex.start(*backfill, **more), daily_job(apex, account, **more)]
    return [finished(child) for child in children]


def busiest_window(times: list[float]) -> int:
    """The most requests that came within one of Futu's windows."""
    return max(sum(start <= at < start + WINDOW for at in times) for start in times)


@pytest.mark.slow
def test_three_loads_at_once_keep_the_limit_and_end_where_one_does(
    with_simulator: Apex, opend_simulator: OpenDSimulator, scenario: Scenario, database_url: str, other_url: str
) -> None:
    account = scenario.accounts[Broker.FUTU][0]
    for ended in three_at_once(with_simulator, account):
        assert ended.code == 0, ended.text
    assert opend_simulator.violations == []
    assert busiest_window(opend_simulator.times(CASH, int(account))) == LIMIT, "control: the limit was reached"
    assert len(opend_simulator.times(CASH, int(account))) > 3 * LIMIT
    alone = with_simulator("backfill", *RANGE, "--account", account, APEX_DATABASE_URL=other_url)
    assert alone.code == 0, alone.text
    tables = (*RAW_TABLES, *NORM_TABLES)
    rows = business_rows(database_url, tables)
    assert rows == business_rows(other_url, tables)
    assert rows["orders_raw_futu"]
    versions = "SELECT table_name, account_id, record_key FROM raw_versions ORDER BY 1, 2, 3"
    assert query(database_url, versions) == query(other_url, versions)


@pytest.mark.slow
def test_with_half_the_window_the_gateway_would_refuse(
    with_simulator: Apex, opend_simulator: OpenDSimulator, scenario: Scenario
) -> None:
    account = scenario.accounts[Broker.FUTU][0]
    ended = with_simulator("backfill", *RANGE, "--account", account, FUTU_WINDOW_SECONDS=str(WINDOW / 2))
    assert ended.code == 0, ended.text
    assert (CASH, int(account)) in opend_simulator.violations
