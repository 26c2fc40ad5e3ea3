"""However `apex` is ended, its programs end with it."""

import signal
import subprocess
import time
from collections.abc import Callable

import httpx
import pytest

from apex_pipeline.orchestration.processes import free_port
from tests.cli.opend import OpenD
from tests.cli.program import APEX, Apex, finished, kill_session, processes_with

SECONDS_TO_SERVE, SECONDS_TO_END = 90, 30
DEAF = ["sh", "-c", 'trap "" INT TERM; exec "$0" "$@"']
"""As a shell without job control starts a program in the background: deaf to Ctrl-C, and here to SIGTERM too."""


def eventually(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)
    return holds()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/server_info", timeout=2).is_success
    except httpx.HTTPError:
        return False


def serving(apex: Apex, port: int) -> "subprocess.Popen[str]":
    """A demo that serves its UI."""
    arguments = ["demo", "--orders", "20", "--days", "5", "--port", str(port)]
    child = subprocess.Popen(
        [*DEAF, str(APEX), *arguments], env=apex.environment, text=True, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    if not eventually(lambda: answers(port), SECONDS_TO_SERVE):
        kill_session(child)
        raise AssertionError("the demo did not serve the UI")
    return child


@pytest.mark.parametrize(
    ("sign", "code"),
    [(signal.SIGTERM, 0), pytest.param(signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.slow)],
)
def test_a_demo_that_is_ended_leaves_no_program_behind(apex: Apex, sign: signal.Signals, code: int) -> None:
    child = serving(apex, free_port())
    assert len(processes_with(str(apex.home))) >= 4, "control: itself, code server, webserver, daemon"
    child.send_signal(sign)
    assert finished(child, SECONDS_TO_END).code == code
    assert eventually(lambda: processes_with(str(apex.home)) == [], SECONDS_TO_END)


def test_a_taken_port_is_told_before_anything_is_loaded(apex: Apex, opend: OpenD) -> None:
    ended = apex("demo", "--port", str(opend.port))
    assert ended.code == 2
    assert ended.complaints == [f"apex: port {opend.port} is in use: choose another one with --port"]
    assert not apex.home.exists()
