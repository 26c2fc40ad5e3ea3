"""The OpenD simulator tells its scenario to the real futu-api client and to a bare socket, to the last digit."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from Crypto.PublicKey import RSA

from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.futu.simulator_messages import order_id_ex
from apex_pipeline.brokers.futu.simulator_rules import Language
from apex_pipeline.brokers.scenario import Scenario, ScenarioOrder
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker
from apex_pipeline.errors import ConfigError
from tests.brokers.opend_scenario import OLD, PAPER, REAL, small_scenario
from tests.brokers.opend_socket import OpenDSocket

_SDK = Path(__file__).with_name("opend_sdk_session.py")
WINDOWS = [
    (date(2026, 11, 20) - timedelta(days=91 * n + 90), date(2026, 11, 20) - timedelta(days=91 * n)) for n in range(5)
]

AT_IMPORT = signal.getsignal(signal.SIGINT)
"""What the process did with Ctrl-C before anything was simulated; a program started in the background ignores it."""


@pytest.fixture(scope="module")
def simulator() -> Iterator[OpenDSimulator]:
    with OpenDSimulator(small_scenario(), time_scale=1e6) as running:
        yield running


@pytest.fixture(scope="module")
def generated() -> Scenario:
    return generate(3, 400, 365, date(2026, 11, 20))


def ask_sdk(port: int, calls: list[dict[str, Any]], home: Path, **options: Any) -> list[dict[str, Any]]:
    """Results of the real client in a process of its own: {ret, rows | text} for each call."""
    given = json.dumps({"port": port, "calls": calls, **options})
    environment = {**os.environ, "HOME": str(home)}
    done = subprocess.run(
        [sys.executable, str(_SDK)],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1], parse_float=Decimal)


def rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    assert result["ret"] == 0, result
    return result["rows"]


def test_the_real_client_gets_every_order_deal_and_fee_of_a_generated_scenario(
    generated: Scenario, tmp_path: Path
) -> None:
    mine = [o for o in generated.orders if o.broker == Broker.FUTU]
    names = {order_id_ex(o): o for o in mine}
    with OpenDSimulator(generated, time_scale=1e6) as running:
        calls: list[dict[str, Any]] = []
        for account in generated.accounts[Broker.FUTU]:
            for begin, end in WINDOWS:
                span = {"start": str(begin), "end": str(end), "acc_id": int(account)}
                calls += [{"call": "history_order_list_query", **span}, {"call": "history_deal_list_query", **span}]
            ids = [name for name, o in names.items() if o.account_id == account]
            for n in range(0, len(ids), 400):
                calls.append({"call": "order_fee_query", "order_id_list": ids[n : n + 400], "acc_id": int(account)})
        told = ask_sdk(running.port, calls, tmp_path)
    by_call = {
        kind: [r for c, t in zip(calls, told, strict=True) if c["call"] == kind for r in rows(t)]
        for kind in {c["call"] for c in calls}
    }
    orders, deals = by_call["history_order_list_query"], by_call["history_deal_list_query"]
    assert Counter(r["order_id"] for r in orders) == Counter(list(names))
    for row in orders:
        assert_order_told(row, names[row["order_id"]])
    fills = {f.fill_id: (o, f) for o in mine for f in o.fills}
    assert Counter(r["deal_id"] for r in deals) == Counter(list(fills))
    for row in deals:
        made, fill = fills[row["deal_id"]]
        assert (row["order_id"], row["qty"], row["price"]) == (order_id_ex(made), fill.qty, fill.price)
        assert row["trd_side"].startswith(fill.side.value)
    fees = {r["order_id"]: r for r in by_call["order_fee_query"]}
    for name, made in names.items():
        assert fees[name]["fee_amount"] == sum((c.amount for c in made.charges), Decimal(0))
        assert [value for _, value in fees[name]["fee_details"]] == [c.amount for c in made.charges]


def assert_order_told(row: dict[str, Any], made: ScenarioOrder) -> None:
    assert (row["qty"], row["dealt_qty"], row["price"]) == (made.qty, made.filled_qty, made.limit_price or 0)
    assert row["amount"] == made.qty * (made.limit_price or 0) * made.contract.multiplier
    assert row["currency"] == made.contract.currency
    assert row["trd_side"].startswith(made.side.value)
    assert len(row["combo_legs"]) == len(made.legs)
    if made.fills and not made.legs:
        exact = sum((f.qty * f.price for f in made.fills), Decimal(0)) / made.filled_qty
        assert float(row["dealt_avg_price"]) == float(exact)


def test_the_real_client_gets_accounts_positions_funds_and_cash_flow(simulator: OpenDSimulator, tmp_path: Path) -> None:
    account = {"acc_id": int(REAL)}
    calls = [
        {"call": "get_acc_list"},
        {"call": "position_list_query", **account},
        {"call": "accinfo_query", "currency": "USD", **account},
        {"call": "get_acc_cash_flow", "clearing_date": "2026-09-18", **account},
        {"call": "history_order_list_query", "start": "2026-08-01", "end": "2026-10-30", **account},
        {"call": "history_deal_list_query", "start": "2026-01-01", "end": "2026-03-31", "acc_id": int(OLD)},
        {
            "call": "history_deal_list_query",
            "start": "2026-08-01",
            "end": "2026-10-30",
            "acc_id": int(PAPER),
            "trd_env": "SIMULATE",
        },
        {"call": "order_list_query", **account},
    ]
    accounts, positions, funds, flow, orders, old_deals, paper_deals, today = ask_sdk(simulator.port, calls, tmp_path)
    assert [(r["acc_id"], r["trd_env"], r["acc_status"], r["trdmarket_auth"]) for r in rows(accounts)] == [
        (int(REAL), "REAL", "ACTIVE", ["HK", "US"]),
        (int(OLD), "REAL", "DISABLED", ["US"]),
        (int(PAPER), "SIMULATE", "ACTIVE", ["HK"]),
    ]
    told = [(r["code"], r["qty"], r["average_cost"], r["market_val"], r["position_side"]) for r in rows(positions)]
    assert told == [
        ("US.AAPL", 3, Decimal("10.016667"), Decimal("34.5"), "LONG"),
        ("HK.TCH260828C42500", -1, Decimal("0.11"), -5, "SHORT"),
    ]
    assert rows(funds)[0]["us_cash"] == -Decimal("30.05") - Decimal("0.30") + 370 - 24000
    assert rows(funds)[0]["hk_cash"] == 11 - 3
    assert [(r["cashflow_remark"], r["cashflow_amount"], r["cashflow_direction"]) for r in rows(flow)] == [
        ("Opt ASS-P-PEP260918P120000-20260918", 0, "N/A"), ("", -24000, "OUT")
    ]  # fmt: skip
    combo = next(r for r in rows(orders) if r["combo_legs"])
    assert (combo["code"], combo["strategy_type"], combo["dealt_avg_price"], combo["trd_side"]) == (
        "US.PEP260918P120/261121P120", "CALENDAR_SPREAD", Decimal("1.85"), "SELL"
    )  # fmt: skip
    assert combo["combo_legs"] == [["US.PEP260918P120000", "BUY", 1], ["US.PEP261121P120000", "SELL_SHORT", 1]]
    assert [r["qty"] for r in rows(old_deals)] == [1]
    assert paper_deals == {"ret": -1, "text": "Simulated trade does not support deal list"}
    assert [r["create_time"][:16] for r in rows(today)] == ["2026-11-01 01:30", "2026-11-01 01:30", "2026-08-20 11:00"]


def test_an_encrypted_session_tells_the_same_rows(tmp_path: Path) -> None:
    key = RSA.generate(1024).export_key().decode()
    file = tmp_path / "key.pem"
    file.write_text(key)
    call = {"call": "history_deal_list_query", "start": "2026-08-01", "end": "2026-10-30", "acc_id": int(REAL)}
    with OpenDSimulator(small_scenario(), rsa_key=key) as running:
        told = ask_sdk(running.port, [call], tmp_path, rsa_file=str(file))
        with OpenDSocket(running.port, hello=False) as plain, pytest.raises(ConnectionError):
            plain.ask(1001, clientVer=300, clientID="test", packetEncAlgo=-1)
    with OpenDSimulator(small_scenario()) as open_one:
        assert told == ask_sdk(open_one.port, [call], tmp_path)
    assert len(rows(told[0])) == 5


def test_json_bodies_hold_the_same_values(simulator: OpenDSimulator, tmp_path: Path) -> None:
    call = {"call": "history_order_list_query", "start": "2026-08-01", "end": "2026-10-30", "acc_id": int(REAL)}
    assert ask_sdk(simulator.port, [call], tmp_path, json=True) == ask_sdk(simulator.port, [call], tmp_path)


def test_the_wire_keeps_what_a_wall_clock_loses(simulator: OpenDSimulator) -> None:
    with OpenDSocket(simulator.port) as client:
        night = client.history(int(REAL), "2026-11-01 01:00:00", "2026-11-01 01:59:59").s2c.orderList
        assert [o.createTime for o in night] == ["2026-11-01 01:30:00.000"] * 2
        assert [o.createTimestamp for o in night] == [1793514600.0, 1793511000.0]
        deals = client.history(int(REAL), "2026-09-01 00:00:00", "2026-09-01 23:59:59", 2222).s2c.orderFillList
        assert [(d.createTime, d.createTimestamp) for d in deals] == [
            ("2026-09-01 10:00:01.000", 1788271201.0), ("2026-09-01 10:00:00.123", 1788271200.123)
        ]  # fmt: skip
        assert {d.orderIDEx for d in deals} == {order_id_ex(small_scenario().orders[0])}
        assert all(d.fillID > 2**53 for d in deals)


def test_the_zone_of_begin_and_end_decides_what_a_window_holds() -> None:
    evening, morning = ("2026-09-01 00:00:00", "2026-09-01 12:00:00"), ("2026-09-01 21:00:00", "2026-09-01 23:00:00")
    for zone, expected in (("row", (1, 0)), ("America/New_York", (1, 0)), ("Asia/Hong_Kong", (0, 1))):
        with OpenDSimulator(small_scenario(), server_zone=zone) as running, OpenDSocket(running.port) as client:
            found = [
                len(client.history(int(REAL), *span, codeList=["AAPL"]).s2c.orderList) for span in (evening, morning)
            ]
        assert found == list(expected), zone


def test_filters_are_applied_together(simulator: OpenDSimulator) -> None:
    with OpenDSocket(simulator.port) as client:
        span = ("2026-08-01 00:00:00", "2026-10-30 23:59:59")
        every = client.history(int(REAL), *span).s2c.orderList
        assert len(every) == 5
        assert [o.createTimestamp for o in every] == sorted((o.createTimestamp for o in every), reverse=True)
        assert {o.trdMarket for o in client.history(int(REAL), *span, filterMarket=1).s2c.orderList} == {1}
        one = client.history(int(REAL), *span, idList=[str(every[1].orderID)]).s2c.orderList
        assert [o.orderIDEx for o in one] == [every[1].orderIDEx]
        assert not client.history(int(REAL), *span, idList=[str(every[1].orderID)], codeList=["XYZ"]).s2c.orderList


def test_the_rate_limit_holds_by_interface_and_account() -> None:
    span = ("2026-08-01 00:00:00", "2026-10-30 23:59:59")
    with OpenDSimulator(small_scenario(), time_scale=30, language="zh") as running, OpenDSocket(running.port) as client:
        begun = time.monotonic()
        assert [client.history(int(REAL), *span).retType for _ in range(10)] == [0] * 10
        refused = client.history(int(REAL), *span)
        assert (refused.retType, refused.retMsg) == (-1, "获取历史订单列表频率太高，请求失败，每30秒最多10次。")
        assert client.history(int(REAL), *span, 2222).retType == 0
        assert client.history(int(OLD), *span).retType == 0
        time.sleep(max(begun + 1.05 - time.monotonic(), 0))
        assert client.history(int(REAL), *span).retType == 0
    assert Counter(r.proto_id for r in running.requests) == {1001: 1, 2221: 13, 2222: 1}
    assert {r.acc_id for r in running.requests} == {0, int(REAL), int(OLD)}


def test_what_a_gateway_does_not_allow_is_refused_with_a_text(simulator: OpenDSimulator) -> None:
    header = {"trdEnv": 1, "accID": REAL, "trdMarket": 2}
    with OpenDSocket(simulator.port) as client:
        assert client.history(int(REAL), "2026-01-01 00:00:00", "2026-04-01 23:59:59").retType == 0
        too_long = client.history(int(REAL), "2026-01-01 00:00:00", "2026-04-02 00:00:00")
        assert (too_long.retType, "90 days" in too_long.retMsg) == (-1, True)
        assert client.ask(2225, header=header, orderIdExList=["X"] * 400).retType == 0
        assert client.ask(2225, header=header, orderIdExList=["X"] * 401).retType == -1
        assert client.history(12345, "2026-01-01 00:00:00", "2026-01-02 00:00:00").retType == -1
        assert client.history(int(OLD), "2026-01-01 00:00:00", "2026-01-02 00:00:00", market=1).retType == -1
        assert client.history(int(REAL), "2026-01-01", "2026-01-02").retType == -1
        assert client.ask(2005, time=0).retMsg == "未知的协议ID"
        assert not client.ask(2001, userID=0, trdCategory=2, needGeneralSecAccount=True).s2c.accList
        assert {a.accID for a in client.ask(2001, userID=0, trdCategory=1).s2c.accList} == {int(OLD), int(PAPER)}
    with OpenDSocket(simulator.port, hello=False) as stranger:
        assert stranger.ask(1004, time=0).retType == -1


def test_fee_titles_follow_the_language_of_the_gateway() -> None:
    header = {"trdEnv": 1, "accID": REAL, "trdMarket": 1}
    ids = [order_id_ex(small_scenario().orders[0]), "UNKNOWN"]
    expected: dict[Language, list[str]] = {"en": ["Commission", "Platform Fee"], "zh": ["佣金", "平台使用费"]}
    for language, titles in expected.items():
        with OpenDSimulator(small_scenario(), language=language) as running, OpenDSocket(running.port) as client:
            (fee,) = client.ask(2225, header=header, orderIdExList=ids).s2c.orderFeeList
        assert [item.title for item in fee.feeList] == titles
        assert fee.feeAmount == 0.3


def test_a_paper_account_tells_orders_its_own_way_and_nothing_else(simulator: OpenDSimulator) -> None:
    header = {"trdEnv": 0, "accID": PAPER, "trdMarket": 1}
    span = {"beginTime": "2026-08-01 00:00:00", "endTime": "2026-10-30 23:59:59"}
    with OpenDSocket(simulator.port) as client:
        (paper,) = client.ask(2221, header=header, filterConditions=span).s2c.orderList
        assert (paper.orderType, paper.createTime) == (5, "2026-09-03 10:00:00")
        assert client.ask(2225, header=header).retMsg == "Simulated trade is not supported"
        flow = client.ask(2226, header=header, clearingDate="2026-09-18")
        assert flow.retMsg == "Paper trading does not support requesting cash flow data."
        assert client.ask(2221, header={**header, "trdEnv": 1}, filterConditions=span).retType == -1


def test_serving_in_the_foreground_ends_when_it_is_stopped() -> None:
    served = OpenDSimulator(small_scenario())
    foreground = Thread(target=served.serve_forever)
    foreground.start()
    until = time.monotonic() + 5
    while not served.port and time.monotonic() < until:
        time.sleep(0.01)
    with OpenDSocket(served.port) as client:
        served.stop()
        foreground.join(5)
        assert not foreground.is_alive()
        with pytest.raises(ConnectionError):
            client.ask(1004, time=0)


def test_a_taken_port_is_a_clear_error(simulator: OpenDSimulator) -> None:
    with pytest.raises(ConfigError, match="choose another port"):
        OpenDSimulator(small_scenario(), port=simulator.port).start()


def test_simulating_leaves_the_process_as_it_was(simulator: OpenDSimulator) -> None:
    with OpenDSocket(simulator.port) as client:
        assert client.ask(1002, userID=0).s2c.trdLogined
    assert signal.getsignal(signal.SIGINT) is AT_IMPORT
    assert not [p for p in sys.path if p.endswith("/common/pb")]


def test_a_later_import_of_the_sdk_shares_the_messages(tmp_path: Path) -> None:
    code = (
        "from apex_pipeline.brokers.futu.simulator_wire import protobuf\n"
        "before = protobuf('Trd_Common_pb2').Order\n"
        "from futu.common.pb import Trd_Common_pb2, Trd_GetOrderList_pb2\n"
        "assert Trd_Common_pb2.Order is before\n"
        "assert type(Trd_GetOrderList_pb2.Response().s2c.orderList.add()) is before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env={**os.environ, "HOME": str(tmp_path)})
