"""The files of one cluster of the embedded PostgreSQL: its making, configuration, log, pid file and socket.

Here: what lies in the cluster's folder and what it says. Not here: who starts and stops its server (`embedded`), and
where the folder is (`embedded_folder`).
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from apex_pipeline.errors import ConfigError, StorageError
from apex_pipeline.store.embedded_folder import own_folder
from apex_pipeline.store.embedded_runtime import MAJOR_VERSION, Runtime
from apex_pipeline.store.embedded_user import ServerUser, allowed, process_exists

ROLE = "apex"
PORT = 5432

SOCKET_NAME = f".s.PGSQL.{PORT}"

# The shortest limit of the systems we run on (macOS: 104 bytes with the closing zero; Linux: 108).
_SOCKET_PATH_BYTES = 103
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


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster's files in the folder `base`, whether its server runs or not; a refused file is an OSError."""

    base: Path

    @property
    def data_dir(self) -> Path:
        """The folder of the tables, which need not exist yet."""
        return self.base / "data"

    @property
    def log_file(self) -> Path:
        """The server's log, in UTC."""
        return self.base / "log" / "postgres.log"

    def pid_file_line(self, number: int) -> str:
        """Return a line of postmaster.pid: 1 process id, 5 socket folder, 8 status; empty if there is none."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        return lines[number - 1].strip() if len(lines) >= number else ""

    def initialise(self, runtime: Runtime, keep: int) -> None:
        """Create the cluster unless it exists: beside its place, then renamed, so that a kill leaves nothing half made.

        What initdb starts inherits the descriptor `keep`. ConfigError for data of another version of PostgreSQL.
        """
        for half in self.base.glob("data.init-*"):
            shutil.rmtree(half)
        if self.data_dir.exists():
            self._check_version()
            return
        half = Path(tempfile.mkdtemp(prefix="data.init-", dir=self.base))
        if runtime.user:
            os.chown(half, runtime.user.uid, runtime.user.gid)
        where = f"--pgdata={half}"
        result = runtime.run("initdb", where, *_INITDB_OPTIONS, seconds=_INITDB_SECONDS, keep=keep)
        if result.returncode != 0:
            shutil.rmtree(half)
            message = f"The database could not be created in {self.base}: {_last_line(result.stderr)}"
            raise StorageError(message)
        _ = half.rename(self.data_dir)
        _sync_folder(self.base)

    def _check_version(self) -> None:
        try:
            version = (self.data_dir / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            message = f"{self.data_dir} is not a PostgreSQL data folder; move it away or choose another APEX_HOME"
            raise ConfigError(message) from None
        if version != str(MAJOR_VERSION):
            message = (
                f"{self.data_dir} was written by PostgreSQL {version}, this program has {MAJOR_VERSION}: "
                f"pg_dump it with version {version}, move it away, start again and restore the dump"
            )
            raise ConfigError(message)

    def prepare_log(self, user: ServerUser | None) -> int:
        """Make the log's folder, put a long log aside, and return where the next start begins to write, in bytes."""
        _ = own_folder(self.log_file.parent, user)
        if self._log_size() > _LOG_BYTES:
            _ = self.log_file.replace(self.log_file.with_suffix(".log.1"))
        return self._log_size()

    def _log_size(self) -> int:
        return self.log_file.stat().st_size if self.log_file.exists() else 0

    def start_error(self, log_size: int) -> StorageError:
        """Return why the start failed, by what the log says since it had `log_size` bytes."""
        text = self.log_file.read_bytes()[log_size:].decode(errors="replace") if self.log_file.exists() else ""
        fatal = [line for line in text.splitlines() if "FATAL:" in line or "PANIC:" in line]
        reason = fatal[-1] if fatal else _last_line(text)
        return StorageError(f"The embedded PostgreSQL did not start: {reason}; see {self.log_file}")

    def socket_dirs(self) -> list[Path]:
        """Folders for the socket that the kernel (length) and libpq (a comma separates hosts) accept, best first."""
        name = f"apex-pg-{sha256(os.fsencode(self.base)).hexdigest()[:16]}"
        candidates = [self.base / "s", Path(tempfile.gettempdir()).resolve() / name, Path("/tmp") / name]  # noqa: S108 - own_folder refuses a stranger's
        short = [folder for folder in candidates if len(os.fsencode(folder / SOCKET_NAME)) <= _SOCKET_PATH_BYTES]
        return [folder for folder in short if not set(str(folder)) & set(',"')]

    def usable_socket_dir(self, user: ServerUser | None) -> Path:
        """Return the first of `socket_dirs` that `user` reaches, made and closed to others. StorageError if none."""
        for folder in self.socket_dirs():
            if user is None or allowed(user, "-x", folder.parent):
                return own_folder(folder, user)
        message = (
            f"Neither {self.base} nor the temporary folder can hold the database's socket; choose a short APEX_HOME"
        )
        raise StorageError(message)

    def remove_misleading(self, socket_dir: Path) -> None:
        """Remove what a dead server left and PostgreSQL would take for a live one's."""
        _remove_if_misleading(self.data_dir / "postmaster.pid")
        _remove_if_misleading(socket_dir / f"{SOCKET_NAME}.lock")


def _remove_if_misleading(pid_file: Path) -> None:
    """Remove a dead server's file that PostgreSQL would take for a live one's: damaged, or its number exists again.

    The number may be a zombie's or any other process's. PostgreSQL's own check of shared memory still keeps a second
    server off the data.
    """
    if pid_file.exists():
        pid = pid_file.read_text().split("\n", 1)[0]
        if not pid.isdigit() or process_exists(int(pid)):
            pid_file.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "no reason given"
