"""Runs the installed `apex` command as an outsider does: a child process, its environment and nothing else."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

APEX = Path(sys.executable).parent / "apex"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def text(self) -> str:
        """Everything it said."""
        return f"exit {self.code} after {self.seconds:.1f} s\n--- out\n{self.out}\n--- err\n{self.err}"

    @property
    def complaints(self) -> list[str]:
        """The lines that say what went wrong."""
        return [line for line in self.err.splitlines() if line.startswith("apex: ")]

    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


@dataclass
class Apex:
    """The command with the environment of one test."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The state folder of these commands."""
        return Path(self.environment["APEX_HOME"])

    def given(self, more: Mapping[str, str | None]) -> dict[str, str]:
        """The environment with changes; None takes a variable away."""
        merged = {**self.environment, **more}
        return {name: value for name, value in merged.items() if value is not None}

    def start(self, *arguments: str, **more: str | None) -> "subprocess.Popen[str]":
        """Begin a command in a session of its own, its output piped."""
        return subprocess.Popen(
            [str(APEX), *arguments],
            cwd=self.folder,
            env=self.given(more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *arguments: str, **more: str | None) -> Ended:
        """Run a command to its end."""
        return finished(self.start(*arguments, **more))


def finished(child: "subprocess.Popen[str]", timeout: float = 100) -> Ended:
    """Wait for a command; kills its session when it takes too long."""
    started = time.monotonic()
    try:
        out, err = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        kill_session(child)
        out, err = child.communicate()
        raise AssertionError(f"{child.args} did not end within {timeout} s\n{out}\n{err}") from None
    return Ended(child.returncode, out, err, time.monotonic() - started)


def kill_session(child: "subprocess.Popen[str]") -> None:
    """SIGKILL the command and whatever shares its process group."""
    os.killpg(child.pid, signal.SIGKILL)


def processes_with(marker: str) -> list[str]:
    """Command lines of living processes whose environment holds `marker`."""
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().decode(errors="replace")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if marker in environment and command:
            found.append(command)
    return found
