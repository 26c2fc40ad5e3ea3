"""Listens on the loopback interface and serves until SIGINT or SIGTERM."""

import socket
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import uvicorn

from apex_pipeline.errors import ConfigError
from apex_pipeline.serving.answers import Answers
from apex_pipeline.serving.application import Application
from apex_pipeline.settings import Settings
from apex_pipeline.store.db import Database
from apex_pipeline.store.migrate import MigrationRunner
from apex_pipeline.store.repositories.last_known import LastKnown
from apex_pipeline.store.repositories.status import StatusRepository

HOST, PORT = "127.0.0.1", 8787
STATEMENT_SECONDS = 5.0
WAITING = 64
"""Connections that wait while all threads are busy."""

LAST_ANSWERS_SECONDS = 5
"""How long an end waits for answers that were begun."""


def serve(configured: Settings, migrations_dir: Path, port: int, on_listening: Callable[[str], None]) -> None:
    """Serve the database of these settings; `on_listening` is told the address. Port 0 takes a free one.

    Raises ConfigError where the port is taken, StorageError where the database cannot be reached at first; what becomes
    of it later is told to whoever asks. Nothing is ever written: the server's sessions are read-only.
    """
    with listening(port) as listener:
        number = int(listener.getsockname()[1])
        with Database(configured, statement_timeout=STATEMENT_SECONDS, read_only=True) as db:
            answers = Answers(db, StatusRepository(db, MigrationRunner(db, migrations_dir)), LastKnown(db).clock())
            application = Application(answers.addresses, number, configured.pool.max_connections)
            on_listening(f"http://{HOST}:{number}")
            with closing(application), suppress(KeyboardInterrupt):
                http_server(application).run(sockets=[listener])


def http_server(application: Application) -> uvicorn.Server:
    """What reads and writes HTTP. SIGINT and SIGTERM end it; it then raises them again for their former handlers."""
    return uvicorn.Server(
        uvicorn.Config(
            application,
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
        )
    )


@contextmanager
def listening(port: int) -> Generator[socket.socket]:
    """A socket on the loopback interface; ConfigError where somebody else listens there."""
    # named TCP, or asyncio does not switch off Nagle's delay, and an answer takes 40 ms
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(WAITING)
        except OSError as error:
            raise ConfigError(f"cannot listen on port {port} ({error.strerror}): choose another --port") from error
        yield listener
