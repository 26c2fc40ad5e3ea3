"""Starts `apex demo --with-faults` as a person does, and ends it as a person does: by Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apex_pipeline.orchestration.processes import free_port
from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store.db import Database
from apex_pipeline.store.embedded import EmbeddedServer

PROGRAM = """
import signal
from apex_pipeline.cli.app import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
APEX = (sys.executable, "-c", PROGRAM)
"""The command of this checkout, wherever the installed one points to. It hears Ctrl-C also where a shell put the tests
in the background, which switches that off for all children."""
PRINTED = re.compile(r"Dagster UI +(http://127\.0\.0\.1:\d+/\?token=\S+)")
START_SECONDS, STOP_SECONDS, COMMAND_SECONDS = 900, 60, 120
RUNNING = "APEX_E2E_DEMO"
"""The printed address of a demo that runs already, for who writes tests; `APEX_HOME` is then its home."""


@dataclass(frozen=True)
class Demo:
    """A running demo: its home, and the address that it printed."""

    home: Path
    address: str

    @property
    def origin(self) -> str:
        """The address without its token."""
        return self.address.partition("/?")[0]

    def apex(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> "subprocess.CompletedProcess[str]":
        """Run a command beside the demo, as in a second terminal."""
        command = [*APEX, *arguments]
        return subprocess.run(
            command, env=environment(self.home), capture_output=True, text=True, timeout=seconds, check=False
        )

    @contextmanager
    def database(self) -> Generator[Database]:
        """The demo's own database."""
        with EmbeddedServer(self.home) as server, Database(server.url("apex")) as db:
            yield db


def environment(home: Path) -> dict[str, str]:
    """What a person of this home has in the environment; no setting of whoever runs the tests."""
    foreign = ("APEX_", "FUTU_", "IB_", "DAGSTER_", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "APEX_HOME": str(home), "PYTHONPATH": str(PROJECT_DIR), "PYTHONUNBUFFERED": "1"}


@contextmanager
def demo(folder: Path) -> Generator[Demo]:
    """A demo with faults and a home below `folder`, ended afterwards; or the one that `APEX_E2E_DEMO` names."""
    if RUNNING in os.environ:
        yield Demo(Path(os.environ["APEX_HOME"]), os.environ[RUNNING])
        return
    home, log = folder / "home", folder / "demo.log"
    command = [*APEX, "demo", "--with-faults", "--port", str(free_port())]
    with log.open("w") as output:
        child = subprocess.Popen(
            command, cwd=folder, env=environment(home), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield Demo(home, _printed(child, log))
    finally:
        _interrupt(child)


def _printed(child: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        if found := PRINTED.search(log.read_text("utf-8")):
            return found.group(1)
        time.sleep(0.5)
    raise AssertionError(f"the demo did not start (exit {child.poll()}):\n{log.read_text('utf-8')[-4000:]}")


def _interrupt(child: "subprocess.Popen[bytes]") -> None:
    child.send_signal(signal.SIGINT)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        raise AssertionError(f"the demo did not end within {STOP_SECONDS} s of Ctrl-C") from None
