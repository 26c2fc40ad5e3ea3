"""Locks on files, which the kernel drops however their holder dies.

Here: taking such a lock with and without waiting. Not here: what a lock means, which is said where it is used.
"""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from apex_pipeline.errors import StorageError

_LOCK_SECONDS = 180


@contextmanager
def exclusive(path: Path) -> Generator[None]:
    """Hold the lock of a file alone for the length of a block. StorageError after three minutes of waiting."""
    descriptor = locked(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def locked(path: Path, operation: int) -> int:
    """Open a lock file and lock it; returns the descriptor. StorageError after three minutes."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while (descriptor := try_locked(path, operation)) is None:
        if time.monotonic() > deadline:
            message = f"Another process has held {path} for {_LOCK_SECONDS} s; end it and try again"
            raise StorageError(message)
        time.sleep(0.02)
    return descriptor


def try_locked(path: Path, operation: int) -> int | None:
    """Open a lock file and lock it; None if somebody else holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if try_lock(descriptor, operation):
        return descriptor
    os.close(descriptor)
    return None


def try_lock(descriptor: int, operation: int) -> bool:
    """Lock an open file, or change its lock; False if somebody else holds it."""
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
