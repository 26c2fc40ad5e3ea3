"""Each planned call against a gateway that speaks the real protocol, with the real SDK in its child process."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apex_pipeline.brokers.futu import plan
from apex_pipeline.brokers.futu.port import FutuBroker, FutuSettings
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import Ask, Call, RecordKind
from apex_pipeline.errors import BrokerRefused
from tests.brokers.futu_rows import first
from tests.brokers.opend_client import ACCOUNT, TODAY, broker, load, no_limit, nothing_left_behind
from tests.brokers.opend_scripted import (
    DEALS,
    FEES,
    ORDERS,
    Reply,
    ScriptedGateway,
    add_account,
    fetch,
    refuse,
)


def test_the_scenarios_truth_comes_back_exactly(tmp_path: Path, scenario: Scenario) -> None:
    with OpenDSimulator(scenario) as gateway, nothing_left_behind():
        deliveries, records = load(broker(tmp_path, gateway.port))
    made = FutuBroker(FutuSettings(home=tmp_path)).normalize(records)
    truth = [order for order in scenario.orders if order.broker is Broker.FUTU]
    fills = {str(fill.fill_id): fill for order in truth for fill in order.fills}
    assert made.rejects == []
    assert len(made.orders) == len(truth)
    assert {t.broker_trade_id: (t.qty, t.price, t.side, t.executed_at, t.trade_date) for t in made.trades} == {
        key: (fill.qty, fill.price, fill.side, fill.at, fill.trade_date) for key, fill in fills.items()
    }
    assert sum(fee.amount for fee in made.fees) == sum(charge.amount for order in truth for charge in order.charges)
    assert all(delivery.documents[0].content for delivery in deliveries)
    assert not any(isinstance(v, float) for record in records for v in record.payload.values())


def test_a_call_claims_its_own_days_only_and_asks_a_day_more_on_either_side(tmp_path: Path, scenario: Scenario) -> None:
    call = Call(plan.ORDERS, str(ACCOUNT), "ALL", TODAY - timedelta(days=20), TODAY - timedelta(days=10))
    with OpenDSimulator(scenario) as gateway, broker(tmp_path, gateway.port).connect(no_limit) as session:
        delivery = session.fetch(call)
        in_us = session.fetch(Call(plan.DEALS, str(ACCOUNT), "US", TODAY, TODAY))
    conditions = delivery.documents[0].request["c2s"]["filterConditions"]
    assert conditions == {"beginTime": "2026-10-30 00:00:00", "endTime": "2026-11-11 23:59:59"}
    covered = delivery.covered[0]
    assert (covered.from_date, covered.to_date) == (call.from_date, call.to_date)
    assert covered.records == sum(call.from_date <= r.business_date <= call.to_date for r in delivery.records)
    conditions = in_us.documents[0].request["c2s"]["filterConditions"]
    assert conditions == {"beginTime": "2026-11-19 00:00:00", "endTime": "2026-11-20 23:59:59", "filterMarket": 2}


def test_each_request_takes_from_the_budget_of_its_interface_and_account(tmp_path: Path, scenario: Scenario) -> None:
    taken: list[str] = []
    with OpenDSimulator(scenario) as gateway, broker(tmp_path, gateway.port).connect(taken.append) as session:
        session.fetch(Call(plan.DEALS, str(ACCOUNT), "ALL", TODAY, TODAY))
    assert taken == [f"futu:Trd_GetHistoryOrderFillList:{ACCOUNT}"]


def test_pending_fees_are_kept_as_records_without_rows(tmp_path: Path, scenario: Scenario) -> None:
    with OpenDSimulator(scenario) as gateway:
        gateway.faults.add("pending_fees")
        _, records = load(broker(tmp_path, gateway.port))
    assert any(record.kind == RecordKind.FEES for record in records)
    assert FutuBroker(FutuSettings(home=tmp_path)).normalize(records).fees == []


def test_a_row_that_lacks_a_field_is_rejected_and_its_neighbours_are_kept(tmp_path: Path) -> None:
    def reply(_request: Any, response: Any) -> None:
        times = {"createTime": "2026-11-20 10:00:00", "updateTime": "2026-11-20 10:00:00", "secMarket": 2}
        response.s2c.orderList.add(orderIDEx="A1", orderID=1, code="AAPL", name="", qty=1, trdSide=1, **times)
        response.s2c.orderList.add(orderIDEx="A2", code="AAPL")
        response.s2c.orderList.add(code="AAPL", **times)

    with ScriptedGateway({ORDERS: reply}) as gateway:
        delivery = fetch(tmp_path, gateway, plan.ORDERS)
    assert [record.key for record in delivery.records] == ["A1"]
    assert [reject.reason_code for reject in delivery.rejects] == ["bad_time", "no_order_id"]


@pytest.mark.parametrize("text", ["Simulated trade does not support deal list", "模拟交易不支持成交数据", "没有权限"])
def test_what_is_not_offered_is_a_note_without_coverage(tmp_path: Path, text: str) -> None:
    with ScriptedGateway({DEALS: refuse(text)}) as gateway:
        delivery = fetch(tmp_path, gateway, plan.DEALS)
    assert (delivery.records, delivery.covered) == ((), ())
    assert text in delivery.notes[0]


def test_a_window_that_times_out_is_cut_until_it_is_answered(tmp_path: Path) -> None:
    def reply(request: Any, response: Any) -> None:
        conditions = request.c2s.filterConditions
        first, last = (date.fromisoformat(text[:10]) for text in (conditions.beginTime, conditions.endTime))
        if (last - first).days > 6:
            refuse("NN_ProtoRet_TimeOut")(request, response)

    with ScriptedGateway({DEALS: reply}) as gateway:
        delivery = fetch(tmp_path, gateway, plan.DEALS, days=20)
    spans = [r.c2s.filterConditions for protocol, r in gateway.asked if protocol == DEALS]
    assert [(span.beginTime[:10], span.endTime[:10]) for span in spans] == [
        ("2026-10-31", "2026-11-20"), ("2026-11-19", "2026-11-20"),
        ("2026-11-10", "2026-11-20"), ("2026-11-15", "2026-11-20"), ("2026-11-10", "2026-11-16"),
        ("2026-10-31", "2026-11-11"), ("2026-11-05", "2026-11-11"), ("2026-10-31", "2026-11-06"),
    ]  # fmt: skip
    assert len(delivery.documents) == 5
    assert [(covered.from_date, covered.to_date) for covered in delivery.covered] == [(date(2026, 11, 1), TODAY)]


def test_an_answer_in_json_is_read_as_well(tmp_path: Path) -> None:
    def reply(_request: Any, response: Any) -> None:
        response.s2c.orderFillList.add(
            trdSide=1, fillID=2**63 + 5, fillIDEx="", code="AAPL", name="", qty=1, price=0.1, orderIDEx="A1",
            createTime="2026-11-20 10:00:00", secMarket=2,
        )  # fmt: skip

    with ScriptedGateway({DEALS: reply}, json_protocols={DEALS}) as gateway:
        delivery = fetch(tmp_path, gateway, plan.DEALS)
    assert delivery.documents[0].media_type == "application/json"
    assert [(r.key, r.payload["price"]) for r in delivery.records] == [(str(2**63 + 5), Decimal("0.1"))]


def test_fees_that_were_asked_and_not_returned_are_counted(tmp_path: Path) -> None:
    def reply(_request: Any, response: Any) -> None:
        response.s2c.orderFeeList.add(orderIDEx="A1", feeAmount=1.5)

    with ScriptedGateway({FEES: reply}) as gateway:
        delivery = fetch(tmp_path, gateway, plan.FEES, ids=("A1", "A2", "A3"))
    assert [record.key for record in delivery.records] == ["A1"]
    assert delivery.notes == [f"2 of 3 asked fees were not returned for {ACCOUNT}"]


def test_the_asked_days_of_fees_are_covered_by_the_last_batch_only(tmp_path: Path) -> None:
    with ScriptedGateway({}) as gateway:
        port = broker(tmp_path, gateway.port, batch_fee_size=1)
        with port.connect(no_limit) as session:
            account = session.accounts()[0]
            calls = port.plan_fees(account, {"A1": TODAY, "A2": TODAY}, Ask(TODAY, TODAY, TODAY))
            covered = [len(session.fetch(call).covered) for call in calls]
    assert covered == [0, 1]


def accounts_of(tmp_path: Path, gateway: ScriptedGateway, **settings: Any) -> list[tuple[str, str, str, bool]]:
    with broker(tmp_path, gateway.port, **settings).connect(no_limit) as session:
        return [(a.account_id, a.environment, a.status, a.has_trades) for a in session.accounts()]


def many_accounts(request: Any, response: Any) -> None:
    if request.c2s.trdCategory == 2:
        refuse("no futures account")(request, response)
        return
    add_account(response, 11, securityFirm=1)
    add_account(response, 12, securityFirm=1, accStatus=1)
    add_account(response, 13, securityFirm=2)
    add_account(response, 14, securityFirm=6, accRole=3)
    add_account(response, 15, env=0)


def test_every_real_account_is_loaded_and_paper_only_when_it_is_named(tmp_path: Path) -> None:
    with ScriptedGateway({2001: many_accounts}) as gateway:
        assert accounts_of(tmp_path, gateway) == [
            ("11", "REAL", "ACTIVE", True), ("12", "REAL", "DISABLED", True), ("13", "REAL", "ACTIVE", True),
        ]  # fmt: skip
        assert [row[0] for row in accounts_of(tmp_path, gateway, security_firms=("FUTUINC",))] == ["13"]
        assert accounts_of(tmp_path, gateway, acc_ids=("15",)) == [("15", "SIMULATE", "ACTIVE", False)]
        with pytest.raises(BrokerRefused, match="names 99, which this login does not have"):
            accounts_of(tmp_path, gateway, acc_ids=("11", "99"))


def test_a_login_without_a_real_account_is_told(tmp_path: Path) -> None:
    script: dict[int, Reply] = {2001: lambda _request, _response: None}
    with ScriptedGateway(script) as gateway, pytest.raises(BrokerRefused, match="lists no REAL account"):
        accounts_of(tmp_path, gateway)


def test_fields_that_nobody_knows_are_kept_in_rows_and_told_beside_them(tmp_path: Path) -> None:
    def reply(_request: Any, response: Any) -> None:
        times = {"createTime": "2026-11-20 10:00:00", "updateTime": "2026-11-20 10:00:00", "secMarket": 2}
        order = response.s2c.orderList.add(orderIDEx="A1", orderID=1, code="A", name="", qty=1, trdSide=99, **times)
        order.MergeFromString(b"\x80\xfa\x01\x07")
        response.s2c.MergeFromString(b"\x80\xfa\x01\x07")

    with ScriptedGateway({ORDERS: reply}) as gateway:
        delivery = fetch(tmp_path, gateway, plan.ORDERS)
    assert first(delivery).payload["_unknown"] == {"4000": "80fa0107"}
    assert first(delivery).payload["trdSide"] == 99
    assert delivery.notes == ["Trd_GetHistoryOrderList answers with fields that this program does not know: 4000"]


@pytest.mark.parametrize("cap", [100, 256])
def test_history_that_is_cut_without_a_word_is_read_to_its_end(tmp_path: Path, busy: Scenario, cap: int) -> None:
    first_day = TODAY - timedelta(days=87)  # rows of the evening before come too, and may be left out
    call = Call(plan.DEALS, str(ACCOUNT), "ALL", first_day, TODAY)
    with OpenDSimulator(busy) as gateway, broker(tmp_path, gateway.port).connect(no_limit) as session:
        whole = session.fetch(call)
    with (
        OpenDSimulator(busy, row_cap=cap, time_scale=1000) as gateway,
        broker(tmp_path, gateway.port, window_seconds=0.1).connect(no_limit) as session,
    ):
        cut = session.fetch(call)
    assert len(list(whole.records)) > 4 * cap
    of_cut, of_whole = (
        {record.key for record in told.records if record.business_date >= first_day} for told in (cut, whole)
    )
    assert of_cut == of_whole
    assert cut.covered == whole.covered
