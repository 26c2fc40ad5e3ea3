"""Two workers of Celery as their units start them, kept running by a supervisor, and killed in three ways."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

APPLICATION = "apex_pipeline.worker"
QUEUES = "futu,ib,dagster"
STOP_SECONDS = 20
READY_SECONDS = 60
STARTED = "=== started ==="


class Kill(StrEnum):
    """What dies without a word: the child that does the step, the program with its child left to the kernel, or all
    of it at once, as with its machine."""

    CHILD = "child"
    PROGRAM = "program"
    MACHINE = "machine"


@dataclass
class Worker:
    """A worker that is started again whenever it ends, as systemd does it."""

    name: str
    folder: Path
    application: str = APPLICATION
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def log(self) -> Path:
        """What all starts of it said."""
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        """Begin to keep it running."""
        self._thread = threading.Thread(target=self._keep_running, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it for good."""
        self._stopping.set()
        if self.process is not None:
            _signal_group(self.process, signal.SIGTERM)
        assert self._thread is not None
        self._thread.join(STOP_SECONDS)
        if self.process is not None:
            _signal_group(self.process, signal.SIGKILL)

    def kill(self, how: Kill) -> bool:
        """Kill it without a word; returns whether there was something to kill."""
        process = self.process
        if process is None or process.poll() is not None:
            return False
        if how is Kill.MACHINE:
            _signal_group(process, signal.SIGKILL)
            return True
        victims = [process.pid] if how is Kill.PROGRAM else children(process.pid)
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(victims)

    def steps_under_way(self) -> int:
        """How many steps this start of it took and did not finish, by what it says."""
        said = self.said()
        return said.count("] received") - said.count("] succeeded") - said.count("Task handler raised error")

    def said(self) -> str:
        """What it said since it was last started."""
        return self.log.read_text(errors="replace").rpartition(STARTED)[2] if self.log.exists() else ""

    def wait_until_ready(self) -> None:
        """Return when it takes steps."""
        deadline = time.monotonic() + READY_SECONDS
        while " ready." not in self.said():
            assert time.monotonic() < deadline, f"worker {self.name} does not start: {self.said()[-2000:]}"
            time.sleep(0.2)

    def _keep_running(self) -> None:
        options = ["-Q", QUEUES, "-n", f"{self.name}@%h", "-c", "1", "-l", "INFO"]
        arguments = [sys.executable, "-m", "celery", "-A", self.application, "worker", *options]
        while not self._stopping.is_set():
            with self.log.open("ab") as log:
                log.write(f"{STARTED}\n".encode())
                log.flush()
                self.process = subprocess.Popen(arguments, stdout=log, stderr=log, start_new_session=True)
                self.starts += 1
                self.process.wait()
            self._stopping.wait(0.2)


@contextmanager
def workers(folder: Path, application: str = APPLICATION) -> Generator[Sequence[Worker]]:
    """Two of them, for all queues; what they write is in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    both = [Worker(name, folder, application) for name in ("one", "two")]
    for worker in both:
        worker.start()
    try:
        yield both
    finally:
        for worker in both:
            worker.stop()


def children(pid: int) -> list[int]:
    """The processes that this one started."""
    with suppress(FileNotFoundError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _signal_group(process: subprocess.Popen[bytes], sign: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, sign)
