"""The page that `apex` serves withstands what Dagster's own falls to, and works for the person in front of it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.orchestration.processes import HOST, free_port
from apex_pipeline.orchestration.ui import door_of
from tests.orchestration.attacks import ATTACKS, Attack, send
from tests.orchestration.conftest import LAST
from tests.orchestration.served import Served, served_place

SECONDS_TO_START = 90
LOST_BY_DAGSTER = 10
RUN_LOGS = """
subscription ($id: ID!) { pipelineRunLogs(runId: $id, cursor: null) {
  __typename ... on PipelineRunLogsSubscriptionSuccess { messages { __typename } } } }
"""


@pytest.fixture(scope="module")
def served(server_url: str, scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The product with its guarded page."""
    with served_place(server_url, scenario, tmp_path_factory.mktemp("guarded")) as made:
        yield made


@pytest.fixture(scope="module")
def bare_port(served: Served) -> Iterator[int]:
    """Dagster's own webserver beside it, on the same instance."""
    port, binary = free_port(), Path(sys.executable).parent / "dagster-webserver"
    workspace = served.place.folder / "workspace.yaml"
    child = subprocess.Popen(
        [binary, "-h", HOST, "-p", str(port), "-w", workspace], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while not _answers(port):
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield port
    finally:
        child.terminate()
        child.wait(30)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{port}/server_info", timeout=2).is_success
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_an_attack_on_the_served_page_fails(served: Served, attack: Attack) -> None:
    answer = send(attack, served.port, door_of(served.place.folder, served.port))
    assert 400 <= answer.status < 500
    assert attack.is_socket or answer.headers["x-apex-refused"] == attack.rule


def test_dagsters_own_page_loses_most_of_these_attacks(served: Served, bare_port: int) -> None:
    door = door_of(served.place.folder, served.port)
    lost = [attack.name for attack in ATTACKS if send(attack, bare_port, door).was_obeyed]
    assert len(lost) >= LOST_BY_DAGSTER, lost


def test_the_page_its_files_and_a_launch_work_for_who_opened_the_printed_address(served: Served) -> None:
    page = served.ui.client.get("/")
    assert '<div id="root"' in page.text or "id=root" in page.text
    assert page.headers["x-frame-options"] == "DENY"
    assert served.ui.finished(served.ui.materialize(["orders_norm"], LAST))["status"] == "SUCCESS"


def test_the_live_log_of_a_run_is_told_to_the_page(served: Served) -> None:
    run_id = served.ui.materialize(["orders_norm"], LAST)
    door, own = door_of(served.place.folder, served.port), f"{HOST}:{served.port}"
    with connect(
        f"ws://{own}/graphql",
        origin=Origin(f"http://{own}"),
        subprotocols=[Subprotocol("graphql-ws")],
        additional_headers={"Cookie": f"{door.cookie}={door.token}"},
    ) as log:
        log.send(json.dumps({"type": "connection_init"}))
        log.send(json.dumps({"id": "1", "type": "start", "payload": {"query": RUN_LOGS, "variables": {"id": run_id}}}))
        told = ""
        while "MaterializationEvent" not in told:
            told = str(log.recv(timeout=60))
    assert served.ui.finished(run_id)["status"] == "SUCCESS"


def test_who_did_not_open_the_address_is_told_how(served: Served) -> None:
    answer = httpx.get(f"http://{HOST}:{served.port}/")
    assert answer.status_code == 401
    assert "?token=" in answer.text
    assert httpx.get(f"http://{HOST}:{served.port}/server_info").is_success
