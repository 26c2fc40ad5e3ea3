"""FutuBroker against a gateway that speaks the real protocol, with the real SDK in its child process."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apex_pipeline.brokers.futu import plan
from apex_pipeline.brokers.futu.port import FutuBroker, FutuSettings
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.futu.simulator_wire import MODULES, Frame, body_of, pack_frame, protobuf, read_frame, sha1_of
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import Ask, Call, Delivery, Record, RecordKind
from apex_pipeline.errors import BrokerRefused, BrokerUnavailable, ConfigError

TODAY = date(2026, 11, 20)
ACCOUNT = 281756478396547854
DEALS, ORDERS, FEES = 2222, 2221, 2225
"""Protocol ids."""


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return generate(7, 60, 120, TODAY)


def broker(tmp_path: Path, port: int, **settings: Any) -> FutuBroker:
    return FutuBroker(FutuSettings(home=tmp_path / "futu", port=port, **settings), today=lambda: TODAY)


def no_limit(_budget: str) -> None:
    return None


def children() -> set[int]:
    """Process ids of this process's children; only Linux tells."""
    found = Path("/proc/self/task").glob("*/children")
    return {int(pid) for path in found for pid in path.read_text().split()}


def open_pipes_and_files() -> int:
    """What the parent side could leak; sockets belong to the gateway, which closes its own a little later."""
    links = _links("/proc/self/fd")
    return sum(link.startswith("pipe:") or "/futu/" in link for link in links)


def _links(folder: str) -> list[str]:
    found: list[str] = []
    for path in Path(folder).iterdir():
        # the descriptor that lists the folder is gone by now, and a gateway's thread may close one
        with suppress(FileNotFoundError):
            found.append(str(path.readlink()))
    return found


@contextmanager
def nothing_left_behind() -> Generator[None]:
    threads, processes = set(threading.enumerate()), children()
    files = open_pipes_and_files()
    yield
    assert set(threading.enumerate()) == threads
    assert children() == processes
    assert open_pipes_and_files() == files


def load(port: FutuBroker, days: int = 120, **ask_fields: Any) -> tuple[list[Delivery], list[Record]]:
    ask = Ask(TODAY - timedelta(days=days - 1), TODAY, TODAY, **ask_fields)
    with port.connect(no_limit) as session:
        accounts = session.accounts()
        deliveries = [session.fetch(call) for call in port.plan(ask, accounts, [])]
        records = {(r.kind, r.account_id, r.key): r for delivery in deliveries for r in delivery.records}
        for account in accounts:
            orders = {
                record.key: record.business_date
                for (kind, owner, _), record in records.items()
                if kind == RecordKind.ORDERS and owner == account.account_id
            }
            deliveries += [session.fetch(call) for call in port.plan_fees(account, orders, ask)]
    records |= {(r.kind, r.account_id, r.key): r for delivery in deliveries for r in delivery.records}
    return deliveries, list(records.values())


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


def test_an_encrypted_gateway_is_read_with_its_key(tmp_path: Path, scenario: Scenario) -> None:
    rsa = pytest.importorskip("Crypto.PublicKey.RSA")
    pem = rsa.generate(1024).export_key(pkcs=1)
    key = tmp_path / "key.pem"
    key.write_bytes(pem)
    with OpenDSimulator(scenario, rsa_key=pem.decode()) as gateway:
        encrypted, _ = load(broker(tmp_path, gateway.port, rsa_key_file=str(key)), days=60)
        with pytest.raises(BrokerUnavailable, match="FUTU_RSA_KEY_FILE"):
            load(broker(tmp_path, gateway.port), days=60)
    with OpenDSimulator(scenario) as gateway:
        plain, _ = load(broker(tmp_path, gateway.port), days=60)
    assert [d.documents[0].content for d in encrypted] == [d.documents[0].content for d in plain]


def test_a_key_file_that_is_no_key_is_named(tmp_path: Path, scenario: Scenario) -> None:
    key = tmp_path / "key.pem"
    with OpenDSimulator(scenario) as gateway:
        with pytest.raises(ConfigError, match="which is not a file"), broker(
            tmp_path, gateway.port, rsa_key_file=str(key)
        ).connect(no_limit):  # fmt: skip
            pass
        key.write_text("hello")
        with pytest.raises(ConfigError, match="cannot be read as an RSA"), broker(
            tmp_path, gateway.port, rsa_key_file=str(key)
        ).connect(no_limit):  # fmt: skip
            pass


@pytest.mark.parametrize(
    ("host", "reason"), [("127.0.0.1", "FUTU_HOST=127.0.0.1 FUTU_PORT"), ("no-such-host.invalid", "does not resolve")]
)
def test_an_opend_that_is_not_there_is_told_soon(tmp_path: Path, host: str, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    started = time.monotonic()
    with (
        nothing_left_behind(),
        pytest.raises(BrokerUnavailable, match=reason) as caught,
        broker(tmp_path, port, host=host).connect(no_limit),
    ):
        pass
    assert time.monotonic() - started < 15
    assert "start OpenD" in str(caught.value)


def test_a_mute_port_is_told_within_fifteen_seconds(tmp_path: Path, scenario: Scenario) -> None:
    with OpenDSimulator(scenario) as gateway:
        gateway.faults.add("mute")
        started = time.monotonic()
        with (
            nothing_left_behind(),
            pytest.raises(BrokerUnavailable, match="does not answer: start OpenD again"),
            broker(tmp_path, gateway.port).connect(no_limit),
        ):
            pass
        assert time.monotonic() - started < 15


def test_a_refused_connection_repeats_the_words_of_opend(tmp_path: Path, scenario: Scenario) -> None:
    with OpenDSimulator(scenario) as gateway:
        gateway.faults.add("refuse_init")
        with pytest.raises(BrokerRefused, match="refused the connection"), broker(tmp_path, gateway.port).connect(
            no_limit
        ):  # fmt: skip
            pass


@pytest.mark.parametrize(
    "fault", ["drop_between_frames", "drop_inside_frame", "wrong_sha1", "cut_body", "rate_limit_once"]
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


def test_pending_fees_are_kept_as_records_without_rows(tmp_path: Path, scenario: Scenario) -> None:
    with OpenDSimulator(scenario) as gateway:
        gateway.faults.add("pending_fees")
        _, records = load(broker(tmp_path, gateway.port))
    assert any(record.kind == RecordKind.FEES for record in records)
    assert FutuBroker(FutuSettings(home=tmp_path)).normalize(records).fees == []


def test_the_child_dies_with_a_killed_parent(tmp_path: Path, scenario: Scenario) -> None:
    program = (
        "import sys, time; from pathlib import Path;"
        " from apex_pipeline.brokers.futu.port import FutuBroker, FutuSettings;"
        " port = FutuBroker(FutuSettings(home=Path(sys.argv[1]), port=int(sys.argv[2])));"
        " session = port.connect(lambda name: None); session.__enter__(); print('ready', flush=True); time.sleep(60)"
    )
    with OpenDSimulator(scenario) as gateway:
        parent = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), str(gateway.port)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        with parent:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"ready\n"
            grandchildren = [int(p) for p in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()]
            assert grandchildren
            parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while alive := [pid for pid in grandchildren if _runs(pid)]:
        assert time.monotonic() < deadline, f"{alive} outlived its parent"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    except FileNotFoundError:
        return False


def test_the_sdk_writes_only_below_its_folder_and_keeps_the_signal_handler(tmp_path: Path, scenario: Scenario) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with OpenDSimulator(scenario) as gateway:
        load(broker(tmp_path, gateway.port), days=5)
    assert signal.getsignal(signal.SIGINT) is handler
    assert "futu" not in sys.modules
    logs = list((tmp_path / "futu").rglob("*.log"))
    assert [log.stat().st_size for log in logs] == [0]


Reply = Callable[[Any, Any], None]
"""Fills a response from a request."""


class ScriptedGateway:
    """A gateway of a few lines that answers as a test says; what a test does not say is an empty success."""

    def __init__(self, script: dict[int, Reply], json_protocols: set[int] | None = None) -> None:
        self.script = script
        self._json_protocols = json_protocols or set[int]()
        self.asked: list[tuple[int, Any]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "ScriptedGateway":
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _spawn(self, run: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._spawn(self._converse, peer)

    def _converse(self, peer: socket.socket) -> None:
        async def talk() -> None:
            reader, writer = await asyncio.open_connection(sock=peer)
            while frame := await read_frame(reader):
                writer.write(self._reply(frame))
                await writer.drain()
            writer.close()

        asyncio.run(talk())

    def _reply(self, frame: Frame) -> bytes:
        module = protobuf(MODULES[frame.proto_id])
        request, response = module.Request(), module.Response()
        request.ParseFromString(frame.body)
        response.retType = 0
        self.asked.append((frame.proto_id, request))
        if frame.proto_id == 1001:
            response.s2c.serverVer, response.s2c.loginUserID, response.s2c.connID = 1011, 7, 9
            response.s2c.connAESKey, response.s2c.keepAliveInterval = "", 10
        elif frame.proto_id == 2001 and frame.proto_id not in self.script:
            _one_account(request, response)
        else:
            response.s2c.SetInParent()
            if hasattr(response.s2c, "header"):
                response.s2c.header.CopyFrom(request.c2s.header)
            self.script.get(frame.proto_id, lambda _asked, _answer: None)(request, response)
        in_json = frame.proto_id in self._json_protocols
        body = body_of(response, 1) if in_json else response.SerializePartialToString()
        return pack_frame(Frame(frame.proto_id, int(in_json), frame.serial, sha1_of(body), body))


def _one_account(request: Any, response: Any) -> None:
    response.s2c.SetInParent()
    if request.c2s.trdCategory == 1:
        _add_account(response, ACCOUNT)


def _add_account(response: Any, acc_id: int, env: int = 1, **fields: Any) -> None:
    account = response.s2c.accList.add(trdEnv=env, accID=acc_id, **fields)
    account.trdMarketAuthList.extend([2, 1])


def refuse(text: str, ret_type: int = -1) -> Reply:
    def reply(_request: Any, response: Any) -> None:
        response.Clear()
        response.retType, response.retMsg = ret_type, text

    return reply


def fetch(tmp_path: Path, gateway: ScriptedGateway, data_type: str, days: int = 1, **fields: Any) -> Delivery:
    call = Call(data_type, str(ACCOUNT), "ALL", TODAY - timedelta(days=days - 1), TODAY, **fields)
    with broker(tmp_path, gateway.port, window_seconds=0.1).connect(no_limit) as session:
        return session.fetch(call)


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


def test_one_day_that_is_never_answered_is_an_error(tmp_path: Path) -> None:
    script = {DEALS: refuse("time out", ret_type=-100)}
    with ScriptedGateway(script) as gateway, pytest.raises(BrokerUnavailable, match="2026-11-20 alone"):
        fetch(tmp_path, gateway, plan.DEALS)


def test_a_query_without_an_answer_is_given_up(tmp_path: Path, scenario: Scenario) -> None:
    with OpenDSimulator(scenario) as gateway:
        gateway.faults.add("no_answer")
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable), broker(tmp_path, gateway.port).connect(no_limit) as session:
            session.fetch(Call(plan.DEALS, str(ACCOUNT), "ALL", TODAY, TODAY))
        assert time.monotonic() - started < 30


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


def test_an_answer_for_another_account_is_not_believed(tmp_path: Path) -> None:
    def reply(_request: Any, response: Any) -> None:
        response.s2c.header.accID = 1

    with ScriptedGateway({DEALS: reply}) as gateway, pytest.raises(BrokerUnavailable, match="another account"):
        fetch(tmp_path, gateway, plan.DEALS)


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
    _add_account(response, 11, securityFirm=1)
    _add_account(response, 12, securityFirm=1, accStatus=1)
    _add_account(response, 13, securityFirm=2)
    _add_account(response, 14, securityFirm=6, accRole=3)
    _add_account(response, 15, env=0)


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


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"security_firms": ("FUTU",)}, "FUTU_SECURITY_FIRMS"),
        ({"acc_ids": ("12x",)}, "FUTU_ACC_IDS"),
        ({"batch_fee_size": 401}, "FUTU_BATCH_FEE_SIZE"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named_before_any_connection(
    tmp_path: Path, settings: dict[str, Any], name: str
) -> None:
    with pytest.raises(ConfigError, match=name):
        broker(tmp_path, 1, **settings)
