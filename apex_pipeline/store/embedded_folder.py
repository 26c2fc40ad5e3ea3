"""The folders the embedded PostgreSQL lives in, where its user can reach them and nobody else can write.

Here: the folder of a home's cluster, the one below SYSTEM_ROOT when the server's user cannot work in the home, and
closing a folder to others. Not here: what lies inside it, which is in `embedded_cluster`.

What the server's user cannot reach (a home or a virtual environment below /root) is placed below SYSTEM_ROOT
instead. No permission of an existing directory is ever loosened for it.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
from pathlib import Path

from apex_pipeline.errors import StorageError
from apex_pipeline.store.embedded_user import ServerUser, allowed, own_user

SYSTEM_ROOT = Path("/var/lib/apex-pipeline")

_POINTER = "pg.location"


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
    if _can_work_in(home, own_user()):
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
