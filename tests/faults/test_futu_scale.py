"""A year of fifty thousand orders is made and served in seconds."""

from collections.abc import Iterator
from datetime import date, timedelta
from time import monotonic, process_time
from typing import Any

import pytest

from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.scenario import Scenario, truth
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker
from tests.brokers.opend_socket import OpenDSocket

pytestmark = pytest.mark.slow

ORDERS, DAYS, END = 50_000, 365, date(2026, 7, 31)
ORDER_WINDOW, DEAL_WINDOW = 2221, 2222


@pytest.fixture(scope="module")
def made() -> tuple[Scenario, float]:
    """The scenario and the processor seconds it took."""
    begun = process_time()
    return generate(1, ORDERS, DAYS, END), process_time() - begun


@pytest.fixture(scope="module")
def client(made: tuple[Scenario, float]) -> Iterator[OpenDSocket]:
    with OpenDSimulator(made[0]) as running, OpenDSocket(running.port, timeout=60) as connected:
        yield connected


def test_fifty_thousand_orders_are_made_in_fifteen_seconds(made: tuple[Scenario, float]) -> None:
    scenario, seconds = made
    assert truth(scenario)[Broker.FUTU].orders >= ORDERS
    assert seconds < 15


@pytest.mark.parametrize("protocol", [ORDER_WINDOW, DEAL_WINDOW])
def test_ninety_days_are_answered_in_two_seconds(
    made: tuple[Scenario, float], client: OpenDSocket, protocol: int
) -> None:
    account = next(a for a in made[0].account_details if a.broker == Broker.FUTU and a.status == "ACTIVE")
    span = f"{END - timedelta(89)} 00:00:00", f"{END} 23:59:59"
    begun = monotonic()
    answer: Any = client.history(int(account.account_id), *span, protocol)
    assert monotonic() - begun < 2
    assert len(answer.s2c.orderList if protocol == ORDER_WINDOW else answer.s2c.orderFillList) > 10_000


def test_one_clearing_date_is_answered_in_a_blink(made: tuple[Scenario, float], client: OpenDSocket) -> None:
    account = next(a for a in made[0].account_details if a.broker == Broker.FUTU and a.status == "ACTIVE")
    header = {"trdEnv": 1, "accID": account.account_id, "trdMarket": 2}
    begun = monotonic()
    rows = client.ask(2226, header=header, clearingDate=END.isoformat()).s2c.flowSummaryInfoList
    assert monotonic() - begun < 0.5
    assert len(rows) > 100
