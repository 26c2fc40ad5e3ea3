"""Rarer faults of the OpenD simulator: a lost login, answers to other questions, rows of other versions."""

import json
import time
from collections import Counter

import pytest

from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.futu.simulator_faults import UNKNOWN_FIELD_NUMBER, Fault
from apex_pipeline.brokers.futu.simulator_rules import Language
from apex_pipeline.brokers.futu.simulator_wire import protobuf
from tests.brokers.opend_scenario import REAL, small_scenario
from tests.brokers.opend_socket import OpenDSocket

_HEADER = {"trdEnv": 1, "accID": REAL, "trdMarket": 2}
_SPAN = ("2026-08-01 00:00:00", "2026-10-30 23:59:59")
_ASKED = {"header": _HEADER, "filterConditions": {"beginTime": _SPAN[0], "endTime": _SPAN[1]}}


@pytest.mark.parametrize(("language", "words"), [("en", "not logged in"), ("zh", "未登录")])
def test_a_lost_login_is_pushed_and_then_refuses(language: Language, words: str) -> None:
    with OpenDSimulator(small_scenario(), language=language) as simulator, OpenDSocket(simulator.port) as client:
        simulator.faults.add(Fault.LOGIN_LOST)
        client.send(2221, **_ASKED)
        head, body = client.receive()
        notice = protobuf("Notify_pb2").Response.FromString(body)
        assert (head[2], notice.s2c.type, notice.s2c.event.eventType) == (1003, 1, 7)
        head, body = client.receive()
        refusal = protobuf("Trd_GetHistoryOrderList_pb2").Response.FromString(body)
        assert (head[2], head[5], refusal.retType) == (2221, client.serial, -1)
        assert words in refusal.retMsg
        assert [r.proto_id for r in simulator.requests] == [1001, 2221]
        assert not client.ask(1002, userID=0).s2c.trdLogined
        simulator.faults.clear()
        assert client.history(int(REAL), *_SPAN).retType == 0
        assert client.ask(1002, userID=0).s2c.trdLogined


def test_a_connection_that_is_lost_can_be_refused_afterwards(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.update({Fault.DROP_INSIDE_FRAME, Fault.REFUSE_INIT})
    simulator.fault_times[Fault.DROP_INSIDE_FRAME] = 1
    with pytest.raises(ConnectionError):
        client.history(int(REAL), *_SPAN)
    with OpenDSocket(simulator.port, hello=False) as again:
        assert again.ask(1001, clientVer=300, clientID="test").retType == -1
    simulator.faults.clear()
    with OpenDSocket(simulator.port) as healthy:
        assert healthy.history(int(REAL), *_SPAN).retType == 0


def test_a_server_timeout_is_told_and_costs_no_budget(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.SERVER_TIMEOUT)
    refused = client.history(int(REAL), *_SPAN)
    assert (refused.retType, refused.retMsg) == (-1, "NN_ProtoRet_TimeOut")
    assert simulator.violations == []


def test_a_late_answer_is_whole(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.LATE_ANSWER)
    simulator.late_seconds = 0.2
    begun = time.monotonic()
    assert len(client.history(int(REAL), *_SPAN).s2c.orderList) == 5
    assert time.monotonic() - begun >= 0.2


def test_an_answer_may_bear_another_number(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.OTHER_SERIAL)
    client.send(2221, **_ASKED)
    assert client.receive()[0][5] != client.serial


def test_an_answer_may_be_about_another_account(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.OTHER_ACCOUNT)
    assert client.history(int(REAL), *_SPAN).s2c.header.accID != int(REAL)
    simulator.faults.clear()
    assert client.history(int(REAL), *_SPAN).s2c.header.accID == int(REAL)


def test_unknown_fields_stand_in_every_row(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    from google.protobuf.unknown_fields import UnknownFieldSet

    simulator.faults.add(Fault.UNKNOWN_FIELD)
    rows = client.history(int(REAL), *_SPAN).s2c.orderList
    assert [[f.field_number for f in UnknownFieldSet(row)] for row in rows] == [[UNKNOWN_FIELD_NUMBER]] * 5
    simulator.faults.clear()
    assert not [f for row in client.history(int(REAL), *_SPAN).s2c.orderList for f in UnknownFieldSet(row)]


def test_unknown_keys_stand_in_every_row_of_a_json_body(simulator: OpenDSimulator) -> None:
    simulator.faults.add(Fault.UNKNOWN_FIELD)
    with OpenDSocket(simulator.port, json=True) as client:
        client.send(2221, **_ASKED)
        rows = json.loads(client.receive()[1])["s2c"]["orderList"]
    assert [row["newerField"] for row in rows] == [7] * 5


def test_rows_may_lack_their_instants(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.NO_TIMESTAMPS)
    orders = client.history(int(REAL), *_SPAN).s2c.orderList
    deals = client.history(int(REAL), *_SPAN, 2222).s2c.orderFillList
    assert not [row for row in (*orders, *deals) if row.HasField("createTimestamp") or row.HasField("updateTimestamp")]
    assert all(row.createTime for row in (*orders, *deals))


def test_rows_may_hold_no_more_than_they_must(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.NO_OPTIONALS)
    deal = client.history(int(REAL), *_SPAN, 2222).s2c.orderFillList[0]
    assert {f.name for f, _ in deal.ListFields()} == {
        "trdSide", "fillID", "fillIDEx", "code", "name", "qty", "price", "createTime"
    }  # fmt: skip


def test_a_row_cap_keeps_the_newest_and_says_nothing() -> None:
    with OpenDSimulator(small_scenario(), row_cap=2) as simulator, OpenDSocket(simulator.port) as client:
        capped = client.history(int(REAL), *_SPAN)
    with OpenDSimulator(small_scenario()) as simulator, OpenDSocket(simulator.port) as client:
        whole = client.history(int(REAL), *_SPAN).s2c.orderList
    assert capped.retType == 0
    assert [o.orderIDEx for o in capped.s2c.orderList] == [o.orderIDEx for o in whole[:2]]


@pytest.mark.parametrize(
    ("zone", "expected"), [("America/New_York", (1, 0)), ("UTC", (0, 1)), ("Asia/Hong_Kong", (0, 0))]
)
def test_a_server_reads_begin_and_end_in_its_own_zone(zone: str, expected: tuple[int, int]) -> None:
    new_york, utc = ("2026-09-01 09:59:00", "2026-09-01 10:01:00"), ("2026-09-01 13:59:00", "2026-09-01 14:01:00")
    with OpenDSimulator(small_scenario(), server_zone=zone) as simulator, OpenDSocket(simulator.port) as client:
        found = [len(client.history(int(REAL), *span, codeList=["AAPL"]).s2c.orderList) for span in (new_york, utc)]
    assert tuple(found) == expected


def test_each_fault_is_counted_when_it_strikes(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    for fault in (Fault.UNKNOWN_FIELD, Fault.NO_TIMESTAMPS, Fault.OTHER_ACCOUNT, Fault.SERVER_TIMEOUT):
        simulator.faults.add(fault)
        client.history(int(REAL), *_SPAN)
        simulator.faults.clear()
    assert simulator.fault_hits == Counter(unknown_field=1, no_timestamps=1, other_account=1, server_timeout=1)
