"""A load keeps Futu's limits from the first request to the last, counted where they are enforced."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from apex_pipeline.brokers.contract import Acquire
from apex_pipeline.brokers.futu.port import FutuBroker, FutuSettings
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.futu.simulator_messages import order_id_ex
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import Ask
from apex_pipeline.pipeline import ingest
from apex_pipeline.store.db import Database
from apex_pipeline.store.limiter import RateLimiter
from tests.store.rows import query

pytestmark = pytest.mark.slow

SPEED, LIMIT, FEES = 10.0, 10, 2225
WINDOW = 30 / SPEED
IDS_PER_CALL = 40
"""Few, so that fees alone need several windows."""


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return generate(2, 2_000, 364, datetime.now(UTC).date() - timedelta(1))


@pytest.fixture
def gateway(scenario: Scenario) -> Iterator[OpenDSimulator]:
    with OpenDSimulator(scenario, time_scale=SPEED) as running:
        yield running


def load(db: Database, gateway: OpenDSimulator, home: Path, acquire: Acquire) -> None:
    today = datetime.now(UTC).date()
    settings = FutuSettings(home, port=gateway.port, window_seconds=WINDOW, batch_fee_size=IDS_PER_CALL)
    ingest(db, FutuBroker(settings, today=lambda: today), acquire, whole_year(today))


def whole_year(today: date) -> Ask:
    return Ask(today - timedelta(364), today, today)


def test_a_year_is_loaded_without_one_refusal(
    db: Database, gateway: OpenDSimulator, scenario: Scenario, tmp_path: Path
) -> None:
    load(db, gateway, tmp_path, RateLimiter(LIMIT, WINDOW, db).acquire)
    assert gateway.violations == []
    for account in scenario.accounts[Broker.FUTU]:
        times = gateway.times(FEES, int(account))
        assert all(late - early >= WINDOW for early, late in zip(times, times[LIMIT:], strict=False))
    assert any(len(gateway.times(FEES, int(a))) > 2 * LIMIT for a in scenario.accounts[Broker.FUTU])
    paid = {order_id_ex(o) for o in scenario.orders if o.broker == Broker.FUTU and o.fills}
    assert {key for (key,) in query(db.url, "SELECT DISTINCT record_key FROM fees_raw_futu")} == paid


def test_without_the_limiter_the_gateway_refuses_and_the_load_still_ends_whole(
    db: Database, gateway: OpenDSimulator, scenario: Scenario, tmp_path: Path
) -> None:
    load(db, gateway, tmp_path, lambda _: None)
    assert gateway.violations
    paid = {order_id_ex(o) for o in scenario.orders if o.broker == Broker.FUTU and o.fills}
    assert {key for (key,) in query(db.url, "SELECT DISTINCT record_key FROM fees_raw_futu")} == paid
