"""The connection to OpenD and its child process: deadlines, keys, and that nothing is left behind."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from apex_pipeline.brokers.futu import plan
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.domain.records import Call
from apex_pipeline.errors import BrokerRefused, BrokerUnavailable, ConfigError
from apex_pipeline.settings import PROJECT_DIR
from tests.brokers.opend_client import ACCOUNT, TODAY, broker, load, no_limit, nothing_left_behind

WANTED = """
import sys
from apex_pipeline.brokers.futu.worker import Sdk
Sdk(sys.argv[1])
import futu.trade.open_trade_context as wanting
print("numpy" in sys.modules, wanting.pd.DataFrame({"a": [1]}).shape, "numpy" in sys.modules)
"""


def test_the_sdk_imports_its_tables_only_when_something_wants_one(tmp_path: Path) -> None:
    code = [sys.executable, "-W", "ignore", "-c", WANTED, str(tmp_path)]
    told = subprocess.run(code, capture_output=True, text=True, check=True, cwd=PROJECT_DIR)
    assert told.stdout.split("\n")[-2] == "False (1, 1) True"


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
    while alive := [pid for pid in grandchildren if is_running(pid)]:
        assert time.monotonic() < deadline, f"{alive} outlived its parent"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
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


@pytest.mark.parametrize("times", [6, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_connecting_again_and_again_leaves_nothing_behind(tmp_path: Path, scenario: Scenario, times: int) -> None:
    call = Call(plan.ORDERS, str(ACCOUNT), "ALL", TODAY, TODAY)
    with OpenDSimulator(scenario, time_scale=1000) as gateway, nothing_left_behind():
        for turn in range(times):
            with broker(tmp_path, gateway.port).connect(no_limit) as session:
                assert session.fetch(call).covered
            if turn % 4 == 3:
                gateway.fault_times["drop_inside_frame"] = 1
                gateway.faults.add("drop_inside_frame")
        assert gateway.fault_hits["drop_inside_frame"] == (times - 1) // 4
        assert sockets_to(gateway.port) <= 2


def sockets_to(port: int) -> int:
    """Connections to a local port that nobody has closed; only Linux tells."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[2].endswith(f":{port:04X}") and line.split()[3] == "01" for line in lines)
