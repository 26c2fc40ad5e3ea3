"""What tests of the embedded server share: a folder it can live in, another process that uses it, a kill."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, LiteralString, Self

import pytest

import apex_pipeline
from apex_pipeline.store.embedded import EmbeddedServer
from tests.store import rows

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another system user")

CLOSED = 0o700
WAIT_FOR_INPUT = "print('ready', flush=True); sys.stdin.readline()"


@contextlib.contextmanager
def open_folder() -> Generator[Path]:
    """Give a short folder which the server's user can reach (pytest's own is closed to others), and remove it."""
    path = Path(tempfile.mkdtemp(prefix="apex-test-"))
    path.chmod(0o755)
    yield path
    for pid_file in path.rglob("postmaster.pid"):
        kill_postmaster(pid_file.parent)
    shutil.rmtree(path)


def query(server: EmbeddedServer, statement: LiteralString) -> list[tuple[Any, ...]]:
    """All rows of a statement in the server's own database."""
    return rows.query(server.url("postgres"), statement)


def postmaster_pid(data_dir: Path) -> int:
    return int((data_dir / "postmaster.pid").read_text().split("\n", 1)[0])


def kill_postmaster(data_dir: Path) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(postmaster_pid(data_dir), signal.SIGKILL)


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline, "did not happen within 20 s"
        time.sleep(0.01)


class Owner:
    """Another process that uses the server of a home: acquires it, runs a body, ends."""

    def __init__(self, server: EmbeddedServer, body: str = WAIT_FOR_INPUT) -> None:
        home = server.data_dir.parents[1]
        made = f"EmbeddedServer(Path({str(home)!r}), system_root=Path({str(home.parent / 'system')!r}))"
        imports = "import os, subprocess, sys\nfrom pathlib import Path\n"
        module = "from apex_pipeline.store.embedded import EmbeddedServer\n"
        code = f"{imports}{module}server = {made}\nserver.acquire()\n{body}\n"
        root = Path(apex_pipeline.__file__).parents[1]
        self._process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-c", code], cwd=root, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process.poll() is None:
            self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def wait_ready(self) -> Self:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def finish(self) -> str:
        """Let the process end by itself and return what else it printed."""
        output, _ = self._process.communicate("\n", timeout=30)
        assert self._process.returncode == 0
        return output

    def kill(self) -> None:
        self._process.kill()
        _ = self._process.wait()
