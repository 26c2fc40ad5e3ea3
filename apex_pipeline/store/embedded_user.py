"""The system user the embedded PostgreSQL runs as, and processes run as that user.

Here: choosing (or creating) the user when this program is root, running a command as it, asking what it may reach.
Not here: which programs (`embedded_runtime`) and which folders (`embedded_folder`).

PostgreSQL refuses to run as root. A root caller therefore gets a system user of its own.
"""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from apex_pipeline.errors import ConfigError, StorageError

_USER_NAME = "apexpg"
_TOOL_FOLDERS = "/usr/sbin:/sbin:/usr/bin:/bin"
# A fixed environment: PGHOST, PGDATA and the like of the caller must not redirect our own tools.
_ENVIRONMENT = {"PATH": _TOOL_FOLDERS, "LC_ALL": "C"}

Ended = subprocess.CompletedProcess[str]


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The system user that runs the server when this program itself is root."""

    name: str
    uid: int
    gid: int


def run_as(user: ServerUser | None, command: Sequence[str], seconds: float, keep: int | None = None) -> Ended:
    """Run a command as `user`, away from our terminal and environment. StorageError if it hangs or cannot start.

    It and what it starts inherit the descriptor `keep` and no other. A session of its own keeps Ctrl-C in the
    caller's terminal from reaching the server.
    """
    try:
        return subprocess.run(  # noqa: S603 - fixed programs with our own arguments, without a shell
            command,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
            cwd="/",
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            umask=0o077,
            pass_fds=() if keep is None else (keep,),
            start_new_session=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{command[0]} did not end within {seconds:.0f} s; look at the load of this machine and try again"
        raise StorageError(message) from error
    except OSError as error:
        who = f"user {user.name}" if user else "this user"
        message = f"{who} cannot run {command[0]} ({error.strerror}); set APEX_DATABASE_URL to a server of your own"
        raise StorageError(message) from error


def process_exists(pid: int) -> bool:
    """Tell whether a process has this id (a zombie counts)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def server_user(data_dir: Path) -> ServerUser | None:
    """Choose the system user of the server: None unless we are root, then the data's owner or a user of its own.

    StorageError if existing data belongs to a user that cannot run it.
    """
    root = os.geteuid() == 0
    if not data_dir.exists():
        return own_user() if root else None
    state = data_dir.stat()
    owner = _user_of(state.st_uid, state.st_gid)
    if root and owner.uid == 0:
        message = f"{data_dir} belongs to root, which PostgreSQL refuses; chown it to another user"
        raise StorageError(message)
    if not root and owner.uid != os.geteuid():
        message = f"{data_dir} belongs to user {owner.name}; run as that user or choose another APEX_HOME"
        raise StorageError(message)
    return owner if root else None


def own_user() -> ServerUser:
    """Return the system user for root's server: `apexpg`, created if need be, else nobody. ConfigError without both."""
    for name in (_USER_NAME, "nobody"):
        if name == _USER_NAME and _entry(name) is None:
            _create_user()
        if (entry := _entry(name)) is not None and entry.pw_uid != 0:
            return ServerUser(name, entry.pw_uid, entry.pw_gid)
    message = "PostgreSQL refuses to run as root and there is neither useradd nor a user nobody: run as another user"
    raise ConfigError(message)


def _create_user() -> None:
    # A failure is no error here: another process may be creating it just now, and nobody is the fallback.
    if useradd := shutil.which("useradd", path=_TOOL_FOLDERS):
        options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        shell = shutil.which("nologin", path=_TOOL_FOLDERS) or "/bin/false"
        if run_as(None, [useradd, *options, "--shell", shell, _USER_NAME], 30).returncode != 0:
            time.sleep(1)


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _user_of(uid: int, gid: int) -> ServerUser:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return ServerUser(str(uid), uid, gid)
    return ServerUser(entry.pw_name, uid, entry.pw_gid)


def allowed(user: ServerUser | None, test: str, *paths: Path) -> bool:
    """Tell whether `user` passes `test` (-r, -w, -x) on every path, by asking the kernel as that user."""
    script = 'for path; do test "$0" "$path" || exit 1; done'
    return run_as(user, ["/bin/sh", "-c", script, test, *map(str, paths)], 30).returncode == 0
