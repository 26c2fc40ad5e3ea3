"""Dagster's own programs as children of this process: code server, webserver, daemon.

They end with this process, also when it is killed.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx

from apex_pipeline.errors import ConfigError, StorageError
from apex_pipeline.orchestration.home import CODE_SERVER_PORT

HOST = "127.0.0.1"
START_SECONDS = 120
STOP_SECONDS = 20
PR_SET_PDEATHSIG = 1


@contextmanager
def serving(folder: Path, ui_port: int) -> Generator[Callable[[], None]]:
    """Run the UI on `ui_port` until the block ends; yields a function that waits until a program ends by itself.

    Raises ConfigError when the port is taken, StorageError when a program does not come up.
    """
    require_free_port(ui_port)
    code_port = free_port()
    os.environ[CODE_SERVER_PORT] = str(code_port)
    workspace = ["-w", str(folder / "workspace.yaml")]
    with ExitStack() as stack:
        code = ["dagster", "code-server", "start", "-m", "apex_pipeline.definitions", "-h", HOST, "-p", str(code_port)]
        programs = [stack.enter_context(_program(code, folder / "code-server.log"))]
        _wait(programs, lambda: not port_is_free(code_port), folder)
        web = ["python", "-m", "apex_pipeline.orchestration.ui", "--port", str(ui_port)]
        programs.append(stack.enter_context(_program(web, folder / "webserver.log")))
        programs.append(stack.enter_context(_program(["dagster-daemon", "run", *workspace], folder / "daemon.log")))
        _wait(programs, lambda: _answers(ui_port), folder)
        yield lambda: _until_one_ends(programs, folder)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def require_free_port(port: int) -> None:
    """Raises ConfigError when somebody listens on this port."""
    if not port_is_free(port):
        raise ConfigError(f"port {port} is in use: choose another one with --port")


def port_is_free(port: int) -> bool:
    """Whether nobody listens on this port of the loopback interface."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


@contextmanager
def _program(arguments: Sequence[str], log: Path) -> Generator[subprocess.Popen[bytes]]:
    binary = Path(sys.executable).parent / arguments[0]
    with log.open("wb") as output:
        child = subprocess.Popen(  # noqa: S603  # our own programs with our own arguments
            [str(binary), *arguments[1:]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  # no threads yet matter
        )
    try:
        yield child
    finally:
        _stop(child)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the program and what it started, politely first."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, sign)
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{port}/server_info", timeout=2).is_success
    except httpx.HTTPError:
        return False


def _wait(programs: Sequence[subprocess.Popen[bytes]], ready: Callable[[], bool], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if any(program.poll() is not None for program in programs) or time.monotonic() > deadline:
            raise StorageError(f"Dagster did not start; its programs say why in {folder}/*.log")
        time.sleep(0.2)


def _until_one_ends(programs: Sequence[subprocess.Popen[bytes]], folder: Path) -> None:
    while all(program.poll() is None for program in programs):
        time.sleep(1)
    raise StorageError(f"one of Dagster's programs ended by itself; it says why in {folder}/*.log")
