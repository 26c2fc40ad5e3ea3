"""Gateways and scenarios that several tests of Futu share: the small one by hand, and two that are generated.

A module that needs another gateway under one of these names defines its own.
"""

from collections.abc import Iterator

import pytest

from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate
from tests.brokers.opend_client import TODAY
from tests.brokers.opend_scenario import small_scenario
from tests.brokers.opend_socket import OpenDSocket


@pytest.fixture
def simulator() -> Iterator[OpenDSimulator]:
    """A gateway of the small scenario, whose budgets never run out."""
    with OpenDSimulator(small_scenario(), time_scale=1e6) as running:
        yield running


@pytest.fixture
def client(simulator: OpenDSimulator) -> Iterator[OpenDSocket]:
    """A bare connection to that gateway, greeted."""
    with OpenDSocket(simulator.port) as connected:
        yield connected


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    """Sixty orders and more per broker in the 120 days until TODAY."""
    return generate(7, 60, 120, TODAY)


@pytest.fixture(scope="session")
def busy() -> Scenario:
    """1,500 orders and more in the same days: more than one answer may hold."""
    return generate(7, 1500, 120, TODAY)
