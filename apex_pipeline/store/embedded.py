"""The embedded PostgreSQL: one server per home folder, shared by processes, stopped by its last user.

Here: who uses the server, its start, readiness and stop. Not here: databases, tables and connections inside it, its
cluster's files (`embedded_cluster`), and what it stands on: binaries (`embedded_runtime`), system user
(`embedded_user`), folders (`embedded_folder`).

Three lock files say everything; the kernel drops a lock however its holder dies, so nothing is counted or guessed:

start.lock    exclusive: who starts, stops, joins or leaves right now
users.lock    shared by every process that uses the server; whoever can make it exclusive when leaving was the last
server.lock   exclusive: inherited by the server's own processes; free means that not one of them lives

A server left behind by killed users stays up; the next user takes it over and, being the last, stops it.
"""

import atexit
import fcntl
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from apex_pipeline.errors import ApexError, StorageError
from apex_pipeline.store.embedded_cluster import PORT, ROLE, SOCKET_NAME, Cluster
from apex_pipeline.store.embedded_folder import SYSTEM_ROOT, base_folder, prepare_base_folder
from apex_pipeline.store.embedded_runtime import Runtime, find_install, refuse_shell_characters, runtime_for
from apex_pipeline.store.embedded_user import server_user
from apex_pipeline.store.file_locks import exclusive, locked, try_lock, try_locked

_WAIT_SECONDS = 60


@dataclass(slots=True)
class _Hold:
    """This process's share of one server: the open lock, how many acquires rely on it, how to stop the server."""

    users_lock: int
    stop: Callable[[], None]
    count: int = 0


_guard = threading.RLock()
_holds: dict[Path, _Hold] = {}


class EmbeddedServer:
    """The PostgreSQL server of one home folder; use as a context manager or with acquire and release.

    Objects of the same home share one server, in this process and in others. Thread-safe. Creates the cluster with
    the superuser `apex` and no database of ours; reachable only over a unix socket in a folder closed to other users.
    """

    def __init__(self, home: Path, *, install: Path | None = None, system_root: Path = SYSTEM_ROOT) -> None:
        self._home: Path = home.resolve()
        self._install: Path | None = install
        self._system_root: Path = system_root
        self._prepared: Path | None = None
        self._acquired: int = 0

    @property
    def data_dir(self) -> Path:
        """The folder of the cluster's files."""
        return self._cluster.data_dir

    @property
    def log_file(self) -> Path:
        """The server's log, in UTC."""
        return self._cluster.log_file

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Have the server running and ready, and register this process as a user of it.

        The first use of a home creates the cluster. StorageError if the server does not start (with the last line of
        its log), ConfigError if the folder was written by another version of PostgreSQL.
        """
        with _guard, _storage_errors(self._home):
            refuse_shell_characters(self._home)
            base = self._prepared = prepare_base_folder(self._home, self._system_root)
            with exclusive(base / "start.lock"):
                hold = _holds.get(base)
                if hold is None:
                    hold = _holds[base] = _Hold(locked(base / "users.lock", fcntl.LOCK_SH), self._stop)
                try:
                    self._ensure_ready()
                except BaseException:
                    _leave_if_unused(base, hold)
                    raise
                hold.count += 1
            self._acquired += 1

    def release(self) -> None:
        """Give up one acquire; the last user of all processes stops the server. Without an acquire: nothing.

        StorageError if the server does not stop within a minute.
        """
        with _guard, _storage_errors(self._home):
            if self._acquired == 0:
                return
            self._acquired -= 1
            hold = _holds.get(self._base)
            # A forked child has a copy of this object, but not its parent's hold.
            if hold is not None:
                hold.count -= 1
                _release(self._base, hold)

    def url(self, database: str = "apex") -> str:
        """Return the libpq and SQLAlchemy URL of a database of this server; the database need not exist."""
        folder = self._pid_file_line(5) or str(self._cluster.socket_dirs()[0])
        # The port is named because libpq would otherwise take PGPORT of the environment.
        return f"postgresql://{ROLE}@/{quote(database, safe='')}?host={quote(folder, safe='')}&port={PORT}"

    def is_running(self) -> bool:
        """Tell whether the server accepts connections, whoever uses it."""
        if self._pid_file_line(8) != "ready":
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            try:
                probe.connect(str(self._socket_file()))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            except (TimeoutError, BlockingIOError):
                return True  # its queue is full: busy, not dead
        return True

    @property
    def _base(self) -> Path:
        return self._prepared or base_folder(self._home)

    @property
    def _cluster(self) -> Cluster:
        return Cluster(self._base)

    def _pid_file_line(self, number: int) -> str:
        with _storage_errors(self._home):
            return self._cluster.pid_file_line(number)

    def _socket_file(self) -> Path:
        return Path(self._pid_file_line(5)) / SOCKET_NAME

    def _ensure_ready(self) -> None:
        server_lock = self._lock_of_ended_server()
        if server_lock is None:
            return
        try:
            runtime = self._runtime()
            self._cluster.initialise(runtime, server_lock)
            self._start(runtime, server_lock)
        finally:
            # The server's processes have inherited it.
            os.close(server_lock)

    def _lock_of_ended_server(self) -> int | None:
        """Wait until the server is ready (None), or until none of its processes lives (the lock to start it with).

        In between it is starting, stopping, or its sessions have not yet noticed that somebody killed it.
        """
        deadline = time.monotonic() + _WAIT_SECONDS
        while not self.is_running():
            if (server_lock := try_locked(self._base / "server.lock", fcntl.LOCK_EX)) is not None:
                return server_lock
            if self._pid_file_line(8) == "ready" and not self._socket_file().exists():
                # Somebody cleaned the temporary folder: this server cannot be reached any more.
                self._stop()
            if time.monotonic() > deadline:
                message = f"PostgreSQL neither answers nor ends; see {self.log_file}, end its processes and try again"
                raise StorageError(message)
            time.sleep(0.02)
        return None

    def _runtime(self) -> Runtime:
        install = self._install or find_install()
        return runtime_for(server_user(self.data_dir), install, self._system_root)

    def _start(self, runtime: Runtime, server_lock: int) -> None:
        cluster = self._cluster
        log_size = cluster.prepare_log(runtime.user)
        socket_dir = cluster.usable_socket_dir(runtime.user)
        cluster.remove_misleading(socket_dir)
        settings = (f"unix_socket_directories={socket_dir}", f"port={PORT}", "listen_addresses=")
        options = " ".join(f"-c {shlex.quote(setting)}" for setting in settings)
        where = ("--pgdata", str(cluster.data_dir), "--log", str(cluster.log_file))
        if _pg_ctl(runtime, "start", *where, "--options", options, keep=server_lock) != 0:
            raise cluster.start_error(log_size)

    def _stop(self) -> None:
        """Stop the server, whoever uses it; nothing if it does not run. StorageError after a minute."""
        server_lock = try_locked(self._base / "server.lock", fcntl.LOCK_EX)
        if server_lock is not None:
            os.close(server_lock)
        elif _pg_ctl(self._runtime(), "stop", "--pgdata", str(self.data_dir), "--mode", "fast") and self.is_running():
            message = f"The embedded PostgreSQL did not stop within {_WAIT_SECONDS} s; see {self.log_file}"
            raise StorageError(message)


def _pg_ctl(runtime: Runtime, verb: str, *arguments: str, keep: int | None = None) -> int:
    waiting = ("--wait", "--timeout", str(_WAIT_SECONDS), "--silent")
    return runtime.run("pg_ctl", verb, *arguments, *waiting, seconds=_WAIT_SECONDS + 30, keep=keep).returncode


def _release(base: Path, hold: _Hold) -> None:
    if hold.count > 0:
        return
    if not base.is_dir():
        # The home was deleted under the server, which then ends by itself.
        _forget(base, hold)
        return
    with exclusive(base / "start.lock"):
        _leave_if_unused(base, hold)


def _leave_if_unused(base: Path, hold: _Hold) -> None:
    """Under start.lock: unless an object still relies on the hold, end it, and stop the server if it was the last."""
    if hold.count > 0:
        return
    try:
        if try_lock(hold.users_lock, fcntl.LOCK_EX):
            hold.stop()
    finally:
        _forget(base, hold)


def _forget(base: Path, hold: _Hold) -> None:
    del _holds[base]
    os.close(hold.users_lock)


@atexit.register
def _release_all() -> None:
    for base, hold in list(_holds.items()):
        hold.count = 0
        try:
            with _guard, _storage_errors(base):
                _release(base, hold)
        except ApexError as error:
            _ = sys.stderr.write(f"{error}\n")


def _forget_all_in_child() -> None:
    # A forked child shares its parent's open locks: leaving by them would stop the parent's server.
    for base, hold in list(_holds.items()):
        _forget(base, hold)
    _guard.release()


# Forking waits for a start or stop in another thread, whose open locks the child would otherwise keep for ever.
os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_forget_all_in_child)


@contextmanager
def _storage_errors(home: Path) -> Generator[None]:
    """Turn a refusal of the file system into one line."""
    try:
        yield
    except OSError as error:
        message = f"The database of {home} cannot be used, run as its owner or choose another APEX_HOME: {error}"
        raise StorageError(message) from error
