"""The whole Flex side against the simulator: what the scenario says is what comes out."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.brokers.ib.simulator import FlexSimulator
from apex_pipeline.brokers.ib.statement_extras import conversions
from apex_pipeline.brokers.scenario import Scenario, truth
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import AssetClass, Broker, Side, TradeKind
from apex_pipeline.domain.records import Ask, Delivery, Normalized, Record, Reject

TODAY, END = date(2026, 3, 10), date(2026, 3, 9)
TOKEN, QUERY = "a-token-for-the-simulator", "4711"


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return generate(seed=11, orders=300, days=400, end=END)


@pytest.fixture(scope="module")
def simulator(scenario: Scenario) -> Iterator[FlexSimulator]:
    with FlexSimulator(scenario, TOKEN, QUERY, time_scale=1000, today=TODAY) as running:
        yield running


def load(simulator: FlexSimulator, scenario: Scenario) -> tuple[list[Delivery], Normalized]:
    broker = IbBroker(IbSettings(simulator.url, TOKEN, QUERY, poll_seconds=0.01))
    calls = broker.plan(Ask(scenario.start, END, TODAY), (), ())
    with broker.connect(lambda _: None) as session:
        deliveries = [session.fetch(call) for call in calls]
    records: list[Record] = [record for delivery in deliveries for record in delivery.records]
    return deliveries, broker.normalize(records)


def test_the_truth_of_the_scenario_is_recovered_exactly(simulator: FlexSimulator, scenario: Scenario) -> None:
    deliveries, result = load(simulator, scenario)
    expected = truth(scenario)[Broker.IB]
    fees: defaultdict[str | None, Decimal] = defaultdict(Decimal)
    for fee in result.fees:
        fees[fee.currency] += fee.amount
    assert len(deliveries) == 2
    assert rejected(deliveries, result) == []
    assert len(result.orders) == expected.orders
    assert len([trade for trade in result.trades if trade.effective]) == expected.trades
    assert {currency: amount for currency, amount in fees.items() if amount} == expected.fees


def test_positions_are_the_holdings_of_the_scenario(simulator: FlexSimulator, scenario: Scenario) -> None:
    _, result = load(simulator, scenario)
    conid = {instrument.symbol: instrument.ib_conid for instrument in result.instruments}
    positions: defaultdict[tuple[str, str | None], Decimal] = defaultdict(Decimal)
    for trade in result.trades:
        if trade.effective:
            positions[(trade.account_id, conid[trade.symbol])] += trade.qty if trade.side is Side.BUY else -trade.qty
    held = {(h.account_id, str(h.contract.conid)): h.qty for h in scenario.holdings if h.broker is Broker.IB}
    assert len(conid) == len(set(conid.values()))
    assert {key: qty for key, qty in positions.items() if qty} == held


def rejected(deliveries: list[Delivery], result: Normalized) -> list[Reject]:
    return [*(reject for delivery in deliveries for reject in delivery.rejects), *result.rejects]


@pytest.mark.parametrize("shape", [{}, {"dates": "iso"}, {"dates": "zone"}, {"dates": "blank"}, {"dates": "slash_mdy"},
                                   {"levels": "executions"}, {"breakout_by_day": True}], ids=str)  # fmt: skip
def test_conversions_cancels_and_corrections_are_read_in_every_shape_of_a_statement(shape: dict[str, Any]) -> None:
    short = generate(seed=11, orders=60, days=90, end=END)
    with FlexSimulator(short, TOKEN, QUERY, time_scale=1000, today=TODAY, extras=True, **shape) as running:
        deliveries, result = load(running, short)
    expected, deals = truth(short)[Broker.IB], conversions(short)
    taken_back = [trade for trade in result.trades if trade.kind is TradeKind.CANCEL]
    fees: defaultdict[str | None, Decimal] = defaultdict(Decimal)
    for fee in result.fees:
        fees[fee.currency] += fee.amount
    assert rejected(deliveries, result) == []
    assert len([trade for trade in result.trades if trade.effective]) == expected.trades + len(deals)
    assert len(result.trades) == expected.trades + len(deals) + 2 * len(taken_back)
    assert taken_back
    assert {trade.symbol for trade in result.trades if trade.asset_class is AssetClass.FX} == {"FX.USD.HKD"}
    assert fees["USD"] == expected.fees["USD"] + 2 * len(deals)
    assert fees["HKD"] == expected.fees.get("HKD", Decimal(0))


def test_confirmations_are_not_mistaken_for_a_statement(simulator: FlexSimulator, scenario: Scenario) -> None:
    document = simulator.confirmations(scenario.start, END)
    assert b'type="TCF"' in document
    assert b"<Trade " not in document
