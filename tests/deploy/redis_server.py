"""A Redis of a test's own: Debian's program on a free port of this machine, its files in a folder of the test."""

import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from apex_pipeline.orchestration.processes import HOST, free_port
from apex_pipeline.settings import PROJECT_DIR

CONFIGURATION = PROJECT_DIR / "deploy" / "celery" / "redis.conf"
START_SECONDS = 20


@dataclass
class Redis:
    """A Redis that can be killed and started again with what it wrote."""

    program: str
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://{HOST}:{self.port}/0"

    def start(self) -> None:
        """Start it as `deploy/celery/redis.conf` says, but here, and wait until it answers."""
        place = ["--port", str(self.port), "--bind", HOST, "--dir", str(self.folder)]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen([self.program, str(CONFIGURATION), *place], stdout=log, stderr=log)
        _wait(self.url)

    def kill(self) -> None:
        """End it without a word."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextmanager
def redis_server(folder: Path) -> Generator[Redis]:
    """A running Redis; ended afterwards."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail("Redis is missing: apt-get install redis-server")
    folder.mkdir(parents=True, exist_ok=True)
    server = Redis(program, folder, free_port())
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            redis.Redis.from_url(url).ping()
        except redis.ConnectionError:
            assert time.monotonic() < deadline, "Redis does not start"
            time.sleep(0.1)
        else:
            return
