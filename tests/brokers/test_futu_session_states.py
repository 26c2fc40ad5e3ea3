"""States, today's lists and bookings of cash, as OpenD tells them and as it refuses them."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apex_pipeline.brokers.futu import plan
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.futu.simulator_rules import Language
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.domain.records import Call, RecordKind
from apex_pipeline.errors import BrokerRefused
from tests.brokers.futu_rows import first
from tests.brokers.opend_client import ACCOUNT, TODAY, broker, no_limit
from tests.brokers.opend_scenario import PAPER, small_scenario
from tests.brokers.opend_scripted import (
    ACCOUNTS,
    CASH,
    FUNDS,
    ORDERS,
    POSITIONS,
    ScriptedGateway,
    add_account,
    fetch,
    refuse,
)

STATE = {plan.POSITIONS: RecordKind.POSITIONS, plan.FUNDS: RecordKind.BALANCES}


def test_states_are_one_record_of_today_each_and_cover_it(tmp_path: Path, scenario: Scenario) -> None:
    taken: list[str] = []
    with OpenDSimulator(scenario) as gateway, broker(tmp_path, gateway.port).connect(taken.append) as session:
        deliveries = {kind: session.fetch(Call(kind, str(ACCOUNT), "ALL", TODAY, TODAY)) for kind in STATE}
    for data_type, delivery in deliveries.items():
        (record,), (covered,) = delivery.records, delivery.covered
        assert (record.kind, record.key, record.business_date) == (STATE[data_type], "2026-11-20", TODAY)
        assert (covered.data_type, covered.from_date, covered.to_date) == (data_type, TODAY, TODAY)
        assert record.generated_at == delivery.documents[0].received_at
        assert delivery.documents[0].received_at.utcoffset() == timedelta(0)
        assert record.payload["rows"]
    assert {row["positionSide"] for row in first(deliveries[plan.POSITIONS]).payload["rows"]} <= {0, 1}
    currencies = {row["currency"] for row in first(deliveries[plan.FUNDS]).payload["rows"][0]["cashInfoList"]}
    assert currencies == {1, 2}
    assert taken == []


def test_no_positions_are_a_record_too_so_that_what_is_gone_is_gone(tmp_path: Path) -> None:
    with ScriptedGateway({}) as gateway:
        delivery = fetch(tmp_path, gateway, plan.POSITIONS)
    assert first(delivery).payload["rows"] == []
    assert delivery.covered[0].to_date == TODAY
    request = gateway.asked_of(POSITIONS)[0].c2s
    assert [field.name for field, _ in request.ListFields()] == ["header"]


def test_funds_that_are_not_told_are_a_note_and_never_nothing(tmp_path: Path) -> None:
    with ScriptedGateway({}) as gateway:
        delivery = fetch(tmp_path, gateway, plan.FUNDS)
    assert (list(delivery.records), list(delivery.covered)) == ([], [])
    assert "told no funds" in delivery.notes[0]


@pytest.mark.parametrize(
    ("markets", "currency"), [([2], 2), ([123, 2], 2), ([1], 1), ([1, 2], 1), ([6], 5), ([], 1), ([999], 1)]
)
def test_funds_are_asked_in_the_currency_of_the_account(tmp_path: Path, markets: list[int], currency: int) -> None:
    def accounts(request: Any, response: Any) -> None:
        if request.c2s.trdCategory == 1:
            response.s2c.accList.add(trdEnv=1, accID=ACCOUNT, trdMarketAuthList=markets)

    with ScriptedGateway({ACCOUNTS: accounts}) as gateway:
        fetch(tmp_path, gateway, plan.FUNDS)
    asked = gateway.asked_of(FUNDS)[0].c2s
    assert (asked.currency, asked.refreshCache) == (currency, False)


@pytest.mark.parametrize(
    ("data_type", "kind"), [(plan.TODAY_ORDERS, RecordKind.ORDERS), (plan.TODAY_DEALS, RecordKind.TRADES)]
)
def test_the_lists_of_today_tell_what_history_tells_and_cover_nothing(
    tmp_path: Path, busy: Scenario, data_type: str, kind: RecordKind
) -> None:
    history = {plan.TODAY_ORDERS: plan.ORDERS, plan.TODAY_DEALS: plan.DEALS}[data_type]
    with OpenDSimulator(busy) as gateway, broker(tmp_path, gateway.port).connect(no_limit) as session:
        today = session.fetch(Call(data_type, str(ACCOUNT), "ALL", TODAY, TODAY))
        past = session.fetch(Call(history, str(ACCOUNT), "ALL", TODAY - timedelta(days=80), TODAY))
        in_hk = session.fetch(Call(data_type, str(ACCOUNT), "HK", TODAY, TODAY))
    told = {record.key: record for record in past.records}
    assert today.records
    assert all(told[record.key] == record for record in today.records)
    assert {record.kind for record in today.records} == {kind}
    assert not today.covered
    assert in_hk.documents[0].request["c2s"]["filterConditions"] == {"filterMarket": 1}


def test_bookings_are_records_of_their_clearing_date(tmp_path: Path) -> None:
    def reply(request: Any, response: Any) -> None:
        for number in (16308, 16309):
            response.s2c.flowSummaryInfoList.add(
                clearingDate=request.c2s.clearingDate, cashFlowID=number, cashFlowAmount=-0.1, currency=2
            )

    taken: list[str] = []
    with ScriptedGateway({CASH: reply}) as gateway, broker(tmp_path, gateway.port).connect(taken.append) as session:
        delivery = session.fetch(Call(plan.CASH, str(ACCOUNT), "ALL", TODAY, TODAY))
    assert [(record.key, record.business_date) for record in delivery.records] == [
        ("2026-11-20:16308", TODAY), ("2026-11-20:16309", TODAY),
    ]  # fmt: skip
    assert first(delivery).payload["cashFlowAmount"] == Decimal("-0.1")
    assert [(c.data_type, c.from_date, c.records) for c in delivery.covered] == [(plan.CASH, TODAY, 2)]
    assert taken == [f"futu:Trd_FlowSummary:{ACCOUNT}"]


PAPER_REFUSAL = "Paper trading does not support requesting cash flow data."


@pytest.mark.parametrize(
    ("data_type", "protocol", "text", "status", "noted"),
    [
        (plan.CASH, CASH, PAPER_REFUSAL, 0, True),
        (plan.CASH, CASH, "模拟账户不支持查询现金流水", 0, True),
        (plan.CASH, CASH, "未知的协议ID", 0, True),
        (plan.POSITIONS, POSITIONS, "The account is disabled", 1, True),
        (plan.CASH, CASH, "The account is disabled", 1, True),
        (plan.POSITIONS, POSITIONS, "The account is disabled", 0, False),
        (plan.ORDERS, ORDERS, "The account is disabled", 1, False),
    ],
)
def test_a_state_that_an_account_does_not_have_is_a_note(
    tmp_path: Path, data_type: str, protocol: int, text: str, status: int, noted: bool
) -> None:
    def accounts(request: Any, response: Any) -> None:
        if request.c2s.trdCategory == 1:
            add_account(response, ACCOUNT, accStatus=status)

    with ScriptedGateway({ACCOUNTS: accounts, protocol: refuse(text)}) as gateway:
        if not noted:
            with pytest.raises(BrokerRefused, match=text):
                fetch(tmp_path, gateway, data_type)
            return
        delivery = fetch(tmp_path, gateway, data_type)
    assert (delivery.records, delivery.covered) == ((), ())
    assert text in delivery.notes[0]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_paper_accounts_tell_orders_and_states_and_notes_for_the_rest(tmp_path: Path, language: Language) -> None:
    with OpenDSimulator(small_scenario(), language=language) as gateway:
        port = broker(tmp_path, gateway.port, acc_ids=(PAPER,))
        with port.connect(no_limit) as session:
            told = {kind: session.fetch(Call(kind, PAPER, "ALL", TODAY, TODAY)) for kind in plan.DATA_TYPES[1:]}
    offered = {kind for kind, delivery in told.items() if delivery.documents}
    assert offered == {plan.TODAY_ORDERS, plan.POSITIONS, plan.FUNDS}
    assert all("not offered" in delivery.notes[0] for kind, delivery in told.items() if kind not in offered)
