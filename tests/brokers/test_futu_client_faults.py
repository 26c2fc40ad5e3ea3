"""What breaks on the way: a passing fault changes nothing, a lasting one is an error and never an empty day."""

import os
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from apex_pipeline.brokers.futu import plan
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.futu.simulator_wire import protobuf
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.domain.records import Call
from apex_pipeline.errors import BrokerRefused, BrokerUnavailable
from tests.brokers.opend_client import ACCOUNT, TODAY, broker, children, load, no_limit, nothing_left_behind
from tests.brokers.opend_scripted import DEALS, Reply, ScriptedGateway, fetch, refuse


@pytest.mark.parametrize(
    "fault",
    [
        "drop_between_frames",
        "drop_inside_frame",
        "wrong_sha1",
        "cut_body",
        "rate_limit_once",
        "server_timeout",
        "other_account",
        "duplicate_rows",
        "slow_bytes",
    ],
)
def test_a_passing_fault_changes_nothing(tmp_path: Path, scenario: Scenario, fault: str) -> None:
    with OpenDSimulator(scenario) as gateway, nothing_left_behind():
        _, truth = load(broker(tmp_path, gateway.port), days=60)
        gateway.fault_times[fault] = 1
        gateway.faults.add(fault)
        _, records = load(broker(tmp_path, gateway.port, window_seconds=0.2), days=60)
        assert gateway.fault_hits[fault] == 1
    assert records == truth


@pytest.mark.parametrize("fault", ["drop_inside_frame", "cut_body", "wrong_sha1"])
def test_a_lasting_fault_is_an_error_and_never_an_empty_day(tmp_path: Path, scenario: Scenario, fault: str) -> None:
    with OpenDSimulator(scenario) as gateway, nothing_left_behind():
        gateway.faults.add(fault)
        with pytest.raises(BrokerUnavailable):
            load(broker(tmp_path, gateway.port), days=60)
        assert gateway.fault_hits[fault] == 2


def test_any_other_refusal_is_final_and_keeps_the_words_of_opend(tmp_path: Path) -> None:
    with (
        ScriptedGateway({DEALS: refuse("未知的协议ID")}) as gateway,
        pytest.raises(BrokerRefused, match="未知的协议ID"),
    ):
        fetch(tmp_path, gateway, plan.DEALS)
    assert sum(protocol == DEALS for protocol, _ in gateway.asked) == 1


@pytest.mark.parametrize("text", ["获取历史成交频率太高，请求失败，每30秒最多10次。", "The request is too frequent"])
def test_a_rate_limit_is_waited_out_and_told_when_it_lasts(tmp_path: Path, text: str) -> None:
    with ScriptedGateway({DEALS: refuse(text)}) as gateway, pytest.raises(BrokerUnavailable, match="still limits"):
        fetch(tmp_path, gateway, plan.DEALS)
    assert sum(protocol == DEALS for protocol, _ in gateway.asked) == 4


def test_one_day_that_is_never_answered_is_an_error(tmp_path: Path) -> None:
    script = {DEALS: refuse("time out", ret_type=-100)}
    with ScriptedGateway(script) as gateway, pytest.raises(BrokerUnavailable, match="2026-11-20 alone"):
        fetch(tmp_path, gateway, plan.DEALS)


@pytest.mark.parametrize(
    "fault", ["no_answer", *(pytest.param(fault, marks=pytest.mark.slow) for fault in ("other_serial", "late_answer"))]
)
def test_a_query_without_its_answer_is_given_up(tmp_path: Path, scenario: Scenario, fault: str) -> None:
    with OpenDSimulator(scenario) as gateway:
        gateway.faults.add(fault)
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable), broker(tmp_path, gateway.port).connect(no_limit) as session:
            session.fetch(Call(plan.DEALS, str(ACCOUNT), "ALL", TODAY, TODAY))
        assert time.monotonic() - started < 30


def test_an_answer_for_another_account_is_not_believed(tmp_path: Path) -> None:
    def reply(_request: Any, response: Any) -> None:
        response.s2c.header.accID = 1

    with ScriptedGateway({DEALS: reply}) as gateway, pytest.raises(BrokerUnavailable, match="another account"):
        fetch(tmp_path, gateway, plan.DEALS)


def test_a_lost_login_is_told_and_its_return_is_noticed(tmp_path: Path, scenario: Scenario) -> None:
    call = Call(plan.DEALS, str(ACCOUNT), "ALL", TODAY, TODAY)
    with OpenDSimulator(scenario) as gateway, broker(tmp_path, gateway.port).connect(no_limit) as session:
        gateway.faults.add("login_lost")
        with pytest.raises(BrokerUnavailable, match="log in to OpenD again"):
            session.fetch(call)
        gateway.faults.clear()
        assert session.fetch(call).covered


@pytest.mark.parametrize(
    "text", ["账号未登录，请重新登录", "The account is not logged in", "Login expired", "请先登录"]
)
def test_words_of_a_lost_login_ask_to_log_in(tmp_path: Path, text: str) -> None:
    with ScriptedGateway({DEALS: refuse(text)}) as gateway, pytest.raises(BrokerUnavailable, match="log in to OpenD"):
        fetch(tmp_path, gateway, plan.DEALS)


def notice(**fields: Any) -> Any:
    return json_format.ParseDict({"retType": 0, "s2c": fields}, protobuf("Notify_pb2").Response())


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": 1, "event": {"eventType": 7, "desc": "logged in elsewhere"}}, "logged in elsewhere"),
        ({"type": 1, "event": {"eventType": 9, "desc": ""}}, "event 9"),
        ({"type": 3, "connectStatus": {"qotLogined": True, "trdLogined": False}}, "trading server is not connected"),
    ],
)
def test_an_answer_after_the_notice_of_a_lost_login_is_not_believed(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    with ScriptedGateway({}) as gateway:
        gateway.notices[DEALS] = notice(**fields)
        with pytest.raises(BrokerUnavailable, match=reason):
            fetch(tmp_path, gateway, plan.DEALS)


@pytest.mark.parametrize(
    "fields",
    [
        {"type": 1, "event": {"eventType": 0, "desc": "all is well"}},
        {"type": 3, "connectStatus": {"qotLogined": False, "trdLogined": True}},
    ],
)
def test_other_notices_change_nothing(tmp_path: Path, fields: dict[str, Any]) -> None:
    with ScriptedGateway({}) as gateway:
        gateway.notices[DEALS] = notice(**fields)
        assert fetch(tmp_path, gateway, plan.DEALS).covered


def test_a_gateway_that_goes_away_in_the_middle_of_a_query_is_told_soon(tmp_path: Path, scenario: Scenario) -> None:
    gateway = OpenDSimulator(scenario).start()
    gateway.faults.add("no_answer")
    with nothing_left_behind(), broker(tmp_path, gateway.port).connect(no_limit) as session:
        stopping = threading.Timer(0.5, gateway.stop)
        stopping.start()
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="not reachable"):
            session.fetch(Call(plan.DEALS, str(ACCOUNT), "ALL", TODAY, TODAY))
        assert time.monotonic() - started < 10
        stopping.join()


def test_a_session_goes_on_when_the_gateway_is_back(tmp_path: Path, scenario: Scenario) -> None:
    call = Call(plan.DEALS, str(ACCOUNT), "ALL", TODAY, TODAY)
    gateway = OpenDSimulator(scenario).start()
    try:
        with nothing_left_behind(), broker(tmp_path, gateway.port).connect(no_limit) as session:
            told = session.fetch(call).records
            gateway.stop()
            with pytest.raises(BrokerUnavailable, match="not reachable"):
                session.fetch(call)
            again = OpenDSimulator(scenario, port=gateway.port)
            # its thread belongs to the gateway and not to the session
            with again:
                assert session.fetch(call).records == told
    finally:
        gateway.stop()


def kill(processes: set[int]) -> None:
    for process in processes:
        os.kill(process, signal.SIGKILL)


def test_a_child_that_dies_by_itself_is_replaced(tmp_path: Path, scenario: Scenario) -> None:
    call = Call(plan.DEALS, str(ACCOUNT), "ALL", TODAY, TODAY)
    with OpenDSimulator(scenario) as gateway, nothing_left_behind():
        before = children()
        with broker(tmp_path, gateway.port).connect(no_limit) as session:
            told = session.fetch(call).records
            kill(children() - before)
            assert session.fetch(call).records == told


def test_a_child_that_dies_again_is_an_error(tmp_path: Path) -> None:
    before = children()
    script: dict[int, Reply] = {DEALS: lambda _request, _response: kill(children() - before)}
    with (
        ScriptedGateway(script) as gateway,
        pytest.raises(BrokerUnavailable, match="the process that holds Futu's SDK ended"),
    ):
        fetch(tmp_path, gateway, plan.DEALS)
    assert len(gateway.asked_of(DEALS)) == 2


def test_faults_are_survived_under_encryption_too(tmp_path: Path, scenario: Scenario) -> None:
    rsa = pytest.importorskip("Crypto.PublicKey.RSA")
    pem = rsa.generate(1024).export_key(pkcs=1)
    (tmp_path / "key.pem").write_bytes(pem)
    call = Call(plan.ORDERS, str(ACCOUNT), "ALL", TODAY - timedelta(days=60), TODAY)
    key = str(tmp_path / "key.pem")
    with (
        OpenDSimulator(scenario, rsa_key=pem.decode()) as gateway,
        broker(tmp_path, gateway.port, rsa_key_file=key).connect(no_limit) as session,
    ):
        told = session.fetch(call).records
        for fault in ("drop_inside_frame", "wrong_sha1", "cut_body"):
            gateway.fault_times[fault] = 1
            gateway.faults.add(fault)
            assert session.fetch(call).records == told
            assert gateway.fault_hits[fault] == 1
