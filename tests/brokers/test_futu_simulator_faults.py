"""Each fault of the OpenD simulator does what its name says, and nothing once it is off."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import DecodeError

from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.futu.simulator_faults import Fault
from apex_pipeline.brokers.futu.simulator_messages import order_id_ex
from apex_pipeline.brokers.futu.simulator_wire import protobuf
from tests.brokers.opend_scenario import REAL, small_scenario
from tests.brokers.opend_socket import HEADER, OpenDSocket

_SDK = Path(__file__).with_name("opend_sdk_session.py")
_HEADER = {"trdEnv": 1, "accID": REAL, "trdMarket": 2}
_SPAN = ("2026-08-01 00:00:00", "2026-10-30 23:59:59")


def request_orders(client: OpenDSocket) -> None:
    client.send(2221, header=_HEADER, filterConditions={"beginTime": _SPAN[0], "endTime": _SPAN[1]})


def orders(client: OpenDSocket) -> Any:
    return client.history(int(REAL), *_SPAN)


def test_without_faults_nothing_strikes(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    assert len(orders(client).s2c.orderList) == 5
    assert not simulator.fault_hits


def test_refuse_init_refuses_the_handshake_only_while_it_is_on(simulator: OpenDSimulator) -> None:
    simulator.faults.add("refuse_init")
    with OpenDSocket(simulator.port, hello=False) as refused:
        answer = refused.ask(1001, clientVer=300, clientID="test")
        assert (answer.retType, bool(answer.retMsg)) == (-1, True)
    simulator.faults.discard("refuse_init")
    with OpenDSocket(simulator.port) as accepted:
        assert orders(accepted).retType == 0


def test_mute_accepts_and_never_answers(simulator: OpenDSimulator) -> None:
    simulator.faults.add(Fault.MUTE)
    with OpenDSocket(simulator.port, hello=False, timeout=0.3) as ignored, pytest.raises(TimeoutError):
        ignored.ask(1001, clientVer=300, clientID="test")
    assert simulator.fault_hits == Counter(mute=1)


def test_no_answer_leaves_only_data_requests_open(simulator: OpenDSimulator) -> None:
    simulator.faults.add(Fault.NO_ANSWER)
    with OpenDSocket(simulator.port, timeout=0.3) as client:
        assert client.ask(2001, userID=0, trdCategory=1).retType == 0
        with pytest.raises(TimeoutError):
            orders(client)


def test_drop_between_frames_closes_without_a_byte(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.DROP_BETWEEN_FRAMES)
    with pytest.raises(ConnectionError, match="after 0 of 44"):
        orders(client)


def test_drop_inside_frame_closes_within_the_body(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.DROP_INSIDE_FRAME)
    request_orders(client)
    with pytest.raises(ConnectionError, match=r"after [1-9]\d* of"):
        client.receive()


def test_wrong_sha1_breaks_the_digest_and_not_the_body(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.WRONG_SHA1)
    request_orders(client)
    head, body = client.receive()
    assert head[7] != hashlib.sha1(body).digest()
    assert len(protobuf("Trd_GetHistoryOrderList_pb2").Response.FromString(body).s2c.orderList) == 5


def test_cut_body_has_a_valid_digest_and_no_message(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.CUT_BODY)
    request_orders(client)
    head, body = client.receive()
    assert head[7] == hashlib.sha1(body).digest()
    with pytest.raises(DecodeError):
        protobuf("Trd_GetHistoryOrderList_pb2").Response.FromString(body)


def test_slow_bytes_arrive_late_and_whole(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.SLOW_BYTES)
    begun = time.monotonic()
    assert len(orders(client).s2c.orderList) == 5
    assert time.monotonic() - begun > 0.3


def test_rate_limit_once_strikes_once(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.RATE_LIMIT_ONCE)
    refused = orders(client)
    assert (refused.retType, "frequency" in refused.retMsg) == (-1, True)
    assert orders(client).retType == 0
    assert simulator.fault_hits == Counter(rate_limit_once=1)


def test_empty_list_once_strikes_once_and_only_where_rows_were(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.EMPTY_LIST_ONCE)
    assert not client.history(int(REAL), "2026-02-01 00:00:00", "2026-02-02 00:00:00").s2c.orderList
    assert simulator.faults == {"empty_list_once"}
    empty = orders(client)
    assert (empty.retType, len(empty.s2c.orderList)) == (0, 0)
    assert len(orders(client).s2c.orderList) == 5


def test_lost_and_duplicate_rows_change_the_count(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    whole = [o.orderIDEx for o in orders(client).s2c.orderList]
    simulator.faults.add(Fault.LOST_ROWS)
    assert [o.orderIDEx for o in orders(client).s2c.orderList] == whole[1:]
    simulator.faults.clear()
    simulator.faults.add(Fault.DUPLICATE_ROWS)
    assert [o.orderIDEx for o in orders(client).s2c.orderList] == [*whole, whole[0]]


def test_pending_fees_have_no_amount_and_no_parts(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    name = order_id_ex(small_scenario().orders[0])
    simulator.faults.add(Fault.PENDING_FEES)
    (pending,) = client.ask(2225, header=_HEADER, orderIdExList=[name]).s2c.orderFeeList
    assert (pending.HasField("feeAmount"), len(pending.feeList)) == (False, 0)
    simulator.faults.clear()
    (settled,) = client.ask(2225, header=_HEADER, orderIdExList=[name]).s2c.orderFeeList
    assert settled.feeAmount == 0.3


def test_unknown_enum_is_a_number_that_no_client_knows(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.UNKNOWN_ENUM)
    told = orders(client).s2c.orderList
    assert (told[0].trdSide, told[0].orderStatus, told[1].orderStatus) == (99, 99, 11)
    simulator.faults.clear()
    assert orders(client).s2c.orderList[0].trdSide == 1


def test_a_fault_can_be_counted_down_and_aimed(simulator: OpenDSimulator, client: OpenDSocket) -> None:
    simulator.faults.add(Fault.LOST_ROWS)
    simulator.fault_protocols.clear()
    simulator.fault_protocols.add(2222)
    simulator.fault_times["lost_rows"] = 2
    assert len(orders(client).s2c.orderList) == 5
    assert [len(client.history(int(REAL), *_SPAN, 2222).s2c.orderFillList) for _ in range(3)] == [4, 4, 5]
    assert simulator.fault_hits == Counter(lost_rows=2)


def test_deals_that_are_lost_are_never_told_however_often_they_are_asked_for(
    simulator: OpenDSimulator, client: OpenDSocket
) -> None:
    first, *others = [row.fillID for row in client.history(int(REAL), *_SPAN, 2222).s2c.orderFillList]
    simulator.lost_fills.add(first)
    for _ in range(2):
        assert [row.fillID for row in client.history(int(REAL), *_SPAN, 2222).s2c.orderFillList] == others


def test_frames_that_are_none_end_the_connection_and_not_the_gateway(simulator: OpenDSimulator) -> None:
    with OpenDSocket(simulator.port) as stranger:
        stranger.socket.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n")
        with pytest.raises(ConnectionError):
            stranger.receive()
    with OpenDSocket(simulator.port) as liar:
        liar.socket.sendall(HEADER.pack(b"F", b"T", 2001, 0, 0, 1, 3, bytes(20), bytes(8)) + b"abc")
        with pytest.raises(ConnectionError):
            liar.receive()
    with OpenDSocket(simulator.port) as client:
        assert client.ask(2221, header=_HEADER, filterConditions={}).retType == -1
        assert orders(client).retType == 0


def test_the_real_client_meets_the_faults_as_measured(simulator: OpenDSimulator, tmp_path: Path) -> None:
    call = {"call": "history_order_list_query", "start": _SPAN[0], "end": _SPAN[1], "acc_id": int(REAL)}
    expected: dict[Fault, str | None] = {
        Fault.WRONG_SHA1: "check sha error",
        Fault.RATE_LIMIT_ONCE: "frequency",
        Fault.DROP_BETWEEN_FRAMES: "Disconnect",
        Fault.DROP_INSIDE_FRAME: "Disconnect",
        Fault.CUT_BODY: None,
    }
    for fault, outcome in expected.items():
        simulator.faults.add(fault)
        given = json.dumps({"port": simulator.port, "calls": [call]})
        done = subprocess.run(
            [sys.executable, str(_SDK)], input=given, capture_output=True, text=True, timeout=60, check=True,
            env={**os.environ, "HOME": str(tmp_path)},
        )  # fmt: skip
        (told,) = json.loads(done.stdout.splitlines()[-1])
        if outcome is not None:
            assert outcome in told["text"], fault
        else:
            assert told == {"ret": 0, "rows": []}
        simulator.faults.clear()
    assert set(simulator.fault_hits) == set(expected)
