"""Predicted times: exact for the limits, and within a tenth of a real load."""

import time
from collections import defaultdict, deque
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from apex_pipeline.brokers.futu import pace, plan
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.records import Account, Ask, Call, LoadScope
from tests.brokers.opend_client import TODAY, broker

FREE = pace.Costs(Decimal(0), Decimal(0), Decimal(0))
ACCOUNT = Account("1")
FETCHED_ONLY = pace.Costs(Decimal("0.5"), Decimal("0.002"), Decimal("0.00003"))


def fees(count: int, account_id: str = "1", ids: int = 1) -> list[Call]:
    return [Call(plan.FEES, account_id, "ALL", TODAY, TODAY, (str(n),) * ids) for n in range(count)]


def waits(calls: list[Call]) -> Decimal:
    return pace.seconds(calls, 10, Decimal(30), costs=FREE)


def test_ten_requests_are_free_and_each_further_ten_wait_a_window() -> None:
    assert waits([]) == waits(fees(10)) == 0
    assert waits(fees(11)) == Decimal("30.25")
    assert waits(fees(100)) == 9 * Decimal("30.25")


def test_accounts_and_interfaces_do_not_share_a_budget() -> None:
    ask = Ask(TODAY - timedelta(days=364), TODAY, TODAY)
    assert waits(fees(10) + fees(10, "2")) == 0
    assert waits(plan.calls(ask, [ACCOUNT], [])) == 0


def test_calls_without_a_limit_never_wait() -> None:
    states = [Call(plan.POSITIONS, "1", "ALL", TODAY, TODAY)] * 50
    assert waits(states) == 0
    assert waits([replace(call, data_type=plan.ORDERS) for call in states]) == 4 * Decimal("30.25")


def test_a_year_of_bookings_takes_thirteen_minutes_whatever_the_number_of_accounts() -> None:
    ask = Ask(TODAY - timedelta(days=364), TODAY, TODAY, scope=LoadScope.CASH)
    one = waits(plan.calls(ask, [ACCOUNT], []))
    assert one == 25 * Decimal("30.25")
    assert waits(plan.calls(ask, [ACCOUNT, Account("2"), Account("3")], [])) == one


def test_work_between_requests_uses_up_the_wait() -> None:
    slow = pace.Costs(Decimal(0), Decimal(4), Decimal(0))
    assert pace.seconds(fees(11), 10, Decimal(30), costs=slow) == 44
    assert pace.seconds(fees(11), 10, Decimal(300), costs=slow) == Decimal("304.25")


def test_expected_records_take_their_time() -> None:
    call = Call(plan.ORDERS, "1", "ALL", date(2026, 1, 1), date(2026, 1, 10))
    costs = pace.Costs(Decimal(1), Decimal(2), Decimal("0.1"))
    assert pace.seconds([call], 10, Decimal(30), {plan.ORDERS: Decimal(5)}, costs) == 8
    assert pace.seconds([call], 10, Decimal(30), {plan.DEALS: Decimal(5)}, costs) == 3
    assert pace.seconds(fees(1, ids=40), 10, Decimal(30), costs=costs) == 7


class Limiter:
    """The sliding window of the product's limiter, in one process."""

    def __init__(self, limit: int, window: float) -> None:
        self.window = window + min(float(pace.LIMITER_MARGIN_SECONDS), window / 10)
        self.granted: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=limit))

    def acquire(self, budget: str) -> None:
        recent = self.granted[budget]
        if len(recent) == recent.maxlen:
            time.sleep(max(0.0, recent[0] + self.window - time.monotonic()))
        recent.append(time.monotonic())


@pytest.mark.slow  # measures wall time, which other work on the machine lengthens
def test_a_real_load_takes_the_predicted_time_within_a_tenth(tmp_path: Path) -> None:
    port_settings = {"requests_per_window": 10, "window_seconds": 1.5, "batch_fee_size": 20}
    with OpenDSimulator(generate(7, 600, 120, TODAY), time_scale=20) as gateway:
        port = broker(tmp_path, gateway.port, **port_settings)
        started = time.monotonic()
        with port.connect(Limiter(10, 1.5).acquire) as session:
            account = session.accounts()[0]
            ids = {str(n): TODAY for n in range(800)}
            calls = plan.fee_calls(account, ids, Ask(TODAY, TODAY, TODAY), 20)
            for call in calls:
                session.fetch(call)
        taken = time.monotonic() - started
        predicted = float(pace.seconds(calls, 10, Decimal("1.5"), costs=FETCHED_ONLY))
        assert gateway.violations == []
    assert len(calls) == 40
    assert abs(predicted - taken) < taken / 10, f"predicted {predicted:.2f} s, taken {taken:.2f} s"
