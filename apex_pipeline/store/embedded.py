"""The embedded PostgreSQL: one server per home folder, shared by processes, stopped by its last user.

Here: who uses the server, its start, readiness and stop. Not here: databases, tables and connections inside it, and
what it stands on (binaries, system user, folders), which is in `embedded_runtime`.

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
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from apex_pipeline.errors import ApexError, ConfigError, StorageError
from apex_pipeline.store import embedded_runtime as ground

ROLE = "apex"
PORT = 5432

# The shortest limit of the systems we run on (macOS: 104 bytes with the closing zero; Linux: 108).
_SOCKET_PATH_BYTES = 103
_SOCKET_NAME = f".s.PGSQL.{PORT}"
_WAIT_SECONDS = 60
_LOCK_SECONDS = 180
_INITDB_SECONDS = 300
_LOG_BYTES = 10_000_000

# For two cores, with nothing of durability given away. A person may change them in postgresql.conf.
_CONFIGURATION = (
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=256MB",
    "max_connections=100",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "unix_socket_permissions=0700",
)
_INITDB_OPTIONS = (
    f"--username={ROLE}",
    # TCP stays refused even if somebody opens a port later: trust is for the closed socket folder alone.
    "--auth-local=trust",
    "--auth-host=reject",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
    *(f"--set={setting}" for setting in _CONFIGURATION),
)


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

    def __init__(self, home: Path, *, install: Path | None = None, system_root: Path = ground.SYSTEM_ROOT) -> None:
        self._home: Path = home.resolve()
        self._install: Path | None = install
        self._system_root: Path = system_root
        self._prepared: Path | None = None
        self._acquired: int = 0

    @property
    def data_dir(self) -> Path:
        """The folder of the cluster's files."""
        return self._base / "data"

    @property
    def log_file(self) -> Path:
        """The server's log, in UTC."""
        return self._base / "log" / "postgres.log"

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
            ground.refuse_shell_characters(self._home)
            base = self._prepared = ground.prepare_base_folder(self._home, self._system_root)
            with _exclusive(base / "start.lock"):
                hold = _holds.get(base)
                if hold is None:
                    hold = _holds[base] = _Hold(_locked(base / "users.lock", fcntl.LOCK_SH), self._stop)
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
        folder = self._pid_file_line(5) or str(self._socket_dirs()[0])
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
        return self._prepared or ground.base_folder(self._home)

    def _pid_file_line(self, number: int) -> str:
        """Return a line of postmaster.pid: 1 process id, 5 socket folder, 8 status; empty if there is none."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            raise _storage_error(self._home, error) from error
        return lines[number - 1].strip() if len(lines) >= number else ""

    def _socket_file(self) -> Path:
        return Path(self._pid_file_line(5)) / _SOCKET_NAME

    def _ensure_ready(self) -> None:
        server_lock = self._lock_of_ended_server()
        if server_lock is None:
            return
        try:
            runtime = self._runtime()
            self._initialise(runtime, server_lock)
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
            if (server_lock := _try_locked(self._base / "server.lock", fcntl.LOCK_EX)) is not None:
                return server_lock
            if self._pid_file_line(8) == "ready" and not self._socket_file().exists():
                # Somebody cleaned the temporary folder: this server cannot be reached any more.
                self._stop()
            if time.monotonic() > deadline:
                message = f"PostgreSQL neither answers nor ends; see {self.log_file}, end its processes and try again"
                raise StorageError(message)
            time.sleep(0.02)
        return None

    def _runtime(self) -> ground.Runtime:
        install = self._install or ground.find_install()
        return ground.runtime_for(ground.server_user(self.data_dir), install, self._system_root)

    def _initialise(self, runtime: ground.Runtime, server_lock: int) -> None:
        """Create the cluster beside its place and rename it, so that a kill at any point leaves nothing half made."""
        for half in self._base.glob("data.init-*"):
            shutil.rmtree(half)
        if self.data_dir.exists():
            self._check_version()
            return
        half = Path(tempfile.mkdtemp(prefix="data.init-", dir=self._base))
        if runtime.user:
            os.chown(half, runtime.user.uid, runtime.user.gid)
        where = f"--pgdata={half}"
        result = runtime.run("initdb", where, *_INITDB_OPTIONS, seconds=_INITDB_SECONDS, keep=server_lock)
        if result.returncode != 0:
            shutil.rmtree(half)
            message = f"The database could not be created in {self._base}: {_last_line(result.stderr)}"
            raise StorageError(message)
        _ = half.rename(self.data_dir)
        _sync_folder(self._base)

    def _check_version(self) -> None:
        try:
            version = (self.data_dir / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            message = f"{self.data_dir} is not a PostgreSQL data folder; move it away or choose another APEX_HOME"
            raise ConfigError(message) from None
        if version != str(ground.MAJOR_VERSION):
            message = (
                f"{self.data_dir} was written by PostgreSQL {version}, this program has {ground.MAJOR_VERSION}: "
                f"pg_dump it with version {version}, move it away, start again and restore the dump"
            )
            raise ConfigError(message)

    def _start(self, runtime: ground.Runtime, server_lock: int) -> None:
        _ = ground.own_folder(self.log_file.parent, runtime.user)
        if self._log_size() > _LOG_BYTES:
            _ = self.log_file.replace(self.log_file.with_suffix(".log.1"))
        log_size = self._log_size()
        socket_dir = self._usable_socket_dir(runtime.user)
        _remove_if_misleading(self.data_dir / "postmaster.pid")
        _remove_if_misleading(socket_dir / f"{_SOCKET_NAME}.lock")
        settings = (f"unix_socket_directories={socket_dir}", f"port={PORT}", "listen_addresses=")
        options = " ".join(f"-c {shlex.quote(setting)}" for setting in settings)
        where = ("--pgdata", str(self.data_dir), "--log", str(self.log_file))
        if _pg_ctl(runtime, "start", *where, "--options", options, keep=server_lock) != 0:
            raise self._start_error(log_size)

    def _log_size(self) -> int:
        return self.log_file.stat().st_size if self.log_file.exists() else 0

    def _start_error(self, log_size: int) -> StorageError:
        text = self.log_file.read_bytes()[log_size:].decode(errors="replace") if self.log_file.exists() else ""
        fatal = [line for line in text.splitlines() if "FATAL:" in line or "PANIC:" in line]
        reason = fatal[-1] if fatal else _last_line(text)
        return StorageError(f"The embedded PostgreSQL did not start: {reason}; see {self.log_file}")

    def _socket_dirs(self) -> list[Path]:
        """Folders for the socket that the kernel (length) and libpq (a comma separates hosts) accept, best first."""
        name = f"apex-pg-{sha256(os.fsencode(self._base)).hexdigest()[:16]}"
        candidates = [self._base / "s", Path(tempfile.gettempdir()).resolve() / name, Path("/tmp") / name]  # noqa: S108 - own_folder refuses a stranger's
        short = [folder for folder in candidates if len(os.fsencode(folder / _SOCKET_NAME)) <= _SOCKET_PATH_BYTES]
        return [folder for folder in short if not set(str(folder)) & set(',"')]

    def _usable_socket_dir(self, user: ground.ServerUser | None) -> Path:
        for folder in self._socket_dirs():
            if user is None or ground.allowed(user, "-x", folder.parent):
                return ground.own_folder(folder, user)
        message = (
            f"Neither {self._base} nor the temporary folder can hold the database's socket; choose a short APEX_HOME"
        )
        raise StorageError(message)

    def _stop(self) -> None:
        """Stop the server, whoever uses it; nothing if it does not run. StorageError after a minute."""
        server_lock = _try_locked(self._base / "server.lock", fcntl.LOCK_EX)
        if server_lock is not None:
            os.close(server_lock)
        elif _pg_ctl(self._runtime(), "stop", "--pgdata", str(self.data_dir), "--mode", "fast") and self.is_running():
            message = f"The embedded PostgreSQL did not stop within {_WAIT_SECONDS} s; see {self.log_file}"
            raise StorageError(message)


def _remove_if_misleading(pid_file: Path) -> None:
    """Remove a dead server's file that PostgreSQL would take for a live one's: damaged, or its number exists again.

    The number may be a zombie's or any other process's. PostgreSQL's own check of shared memory still keeps a second
    server off the data.
    """
    if pid_file.exists():
        pid = pid_file.read_text().split("\n", 1)[0]
        if not pid.isdigit() or ground.process_exists(int(pid)):
            pid_file.unlink()


def _pg_ctl(runtime: ground.Runtime, verb: str, *arguments: str, keep: int | None = None) -> int:
    waiting = ("--wait", "--timeout", str(_WAIT_SECONDS), "--silent")
    return runtime.run("pg_ctl", verb, *arguments, *waiting, seconds=_WAIT_SECONDS + 30, keep=keep).returncode


def _release(base: Path, hold: _Hold) -> None:
    if hold.count > 0:
        return
    if not base.is_dir():
        # The home was deleted under the server, which then ends by itself.
        _forget(base, hold)
        return
    with _exclusive(base / "start.lock"):
        _leave_if_unused(base, hold)


def _leave_if_unused(base: Path, hold: _Hold) -> None:
    """Under start.lock: unless an object still relies on the hold, end it, and stop the server if it was the last."""
    if hold.count > 0:
        return
    try:
        if _try_lock(hold.users_lock, fcntl.LOCK_EX):
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
def _exclusive(path: Path) -> Generator[None]:
    descriptor = _locked(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(path: Path, operation: int) -> int:
    """Open a lock file and lock it; returns the descriptor. StorageError after three minutes."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while (descriptor := _try_locked(path, operation)) is None:
        if time.monotonic() > deadline:
            message = f"Another process has held {path} for {_LOCK_SECONDS} s; end it and try again"
            raise StorageError(message)
        time.sleep(0.02)
    return descriptor


def _try_locked(path: Path, operation: int) -> int | None:
    """Open a lock file and lock it; None if somebody else holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if _try_lock(descriptor, operation):
        return descriptor
    os.close(descriptor)
    return None


def _try_lock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _storage_errors(home: Path) -> Generator[None]:
    """Turn a refusal of the file system into one line."""
    try:
        yield
    except OSError as error:
        raise _storage_error(home, error) from error


def _storage_error(home: Path, error: OSError) -> StorageError:
    return StorageError(f"The database of {home} cannot be used, run as its owner or choose another APEX_HOME: {error}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "no reason given"
