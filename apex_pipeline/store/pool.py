"""Connections that are kept for the next who needs one: few are opened, broken and old ones are replaced.

Here: how many there are, which one is given, and whether it still works. Not here: what is said over them, which is in
`db`, and how one is opened, which is in `connection`.
"""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, connection

from apex_pipeline.errors import StorageError

WAIT_SECONDS = 30.0
"""How long a thread waits for a connection that others use."""

PING_AFTER_SECONDS = 15.0
"""A connection that rested longer is asked whether it still works before it is given."""

RECYCLE_SECONDS = 1800.0
"""The age at which a connection is replaced: the server's memory for it grows with what it was used for."""


_forked = threading.Lock()
"""Held only in a child, while its first threads leave the connections of the parent."""


@dataclass(slots=True, eq=False)
class Member:
    """A connection of a pool, in the hands of one thread at a time.

    `was_lent`: somebody had the bare connection and may have changed what it is set to. `after_commit`: what waits for
    the open transaction to be stored.
    """

    connection: connection
    opened_at: float
    generation: int
    rested_at: float = 0.0
    in_transaction: bool = False
    is_rehearsing: bool = False
    was_lent: bool = False
    is_spoiled: bool = False
    after_commit: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])
    pid: int = field(default_factory=os.getpid)

    @property
    def is_own(self) -> bool:
        """Whether this process opened it; what a child inherits is its parent's."""
        return self.pid == os.getpid()

    @property
    def is_busy(self) -> bool:
        """Whether a transaction stands open, of which the next one would be a part."""
        return self.in_transaction or self.is_rehearsing


@dataclass(slots=True)
class _Counts:
    size: int = 0
    opened: int = 0
    recycled: int = 0
    lost: int = 0


@dataclass(slots=True)
class Pool:
    """At most `most` connections, opened when needed and shared by the threads of this process; `least` stay open.

    Threads that wait are served in the order in which they came. A child of a fork opens its own connections and
    leaves those of its parent alone.
    """

    open_one: Callable[[], connection]
    least: int = 2
    most: int = 10
    _idle: list[Member] = field(default_factory=list[Member])
    _queue: deque[object] = field(default_factory=deque[object])
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _counts: _Counts = field(default_factory=_Counts)
    _generation: int = 0
    _pid: int = field(default_factory=os.getpid)
    _of_parent: list[Member] = field(default_factory=list[Member])

    def warm(self) -> None:
        """Open connections until there are `least`; StorageUnavailable if the server cannot be reached."""
        self.give(self.take())
        while self._reserve_to_warm():
            self.give(self._opened())

    def take(self, wait: float | None = None) -> Member:
        """A working connection, for the caller alone until it is given back.

        Raises StorageUnavailable when the server cannot be reached, StorageError when all are in use for longer than
        `wait` seconds (WAIT_SECONDS if None).
        """
        self._after_fork()
        while (resting := self._reserve(WAIT_SECONDS if wait is None else wait)) is not None:
            try:
                works = _works(resting)
            except BaseException:
                self._drop(resting, is_lost=False)
                raise
            if works:
                return resting
            self._drop(resting, is_lost=True)
        return self._opened()

    def give(self, member: Member) -> None:
        """Take a connection back; one that is broken, old or of before `close` is dropped."""
        member.rested_at = time.monotonic()
        is_old = member.rested_at - member.opened_at > RECYCLE_SECONDS
        is_fit = not is_old and not member.is_spoiled and _settled(member)
        with self._changed:
            if is_fit and member.generation == self._generation:
                self._idle.append(member)
                self._changed.notify_all()
                return
        self._drop(member, is_lost=bool(member.connection.closed))

    def close(self) -> None:
        """Close what nobody uses now; what is in use is closed when it is given back. `take` opens anew."""
        self._after_fork()
        with self._changed:
            self._generation += 1
            idle, self._idle = self._idle, []
        for member in idle:
            self._drop(member, is_lost=False)

    def stats(self) -> dict[str, int]:
        """Connections now (size, idle, in_use, waiting), their bounds, and how many were opened, recycled and lost."""
        self._after_fork()
        with self._changed:
            counts, idle = self._counts, len(self._idle)
            return {
                "size": counts.size,
                "idle": idle,
                "in_use": counts.size - idle,
                "waiting": len(self._queue),
                "min_connections": self.least,
                "max_connections": self.most,
                "opened": counts.opened,
                "recycled": counts.recycled,
                "lost": counts.lost,
            }

    def _reserve(self, wait: float) -> Member | None:
        """A resting connection, or None with a place for a new one; the longest wait ends in StorageError."""
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            try:
                if not self._changed.wait_for(lambda: self._is_next(ticket), wait):
                    raise StorageError(
                        f"all {self.most} connections to the database were in use for {wait:g} s:"
                        " hold them for a shorter time, or raise database.pool.max_connections"
                    )
                if self._idle:
                    return self._idle.pop()
                self._counts.size += 1
                return None
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def _is_next(self, ticket: object) -> bool:
        return self._queue[0] is ticket and (bool(self._idle) or self._counts.size < self.most)

    def _reserve_to_warm(self) -> bool:
        with self._changed:
            is_missing = self._counts.size < min(self.least, self.most)
            self._counts.size += is_missing
            return is_missing

    def _opened(self) -> Member:
        """A new connection in the place that was reserved for it."""
        generation = self._generation
        try:
            opened = self.open_one()
        except BaseException:
            with self._changed:
                self._counts.size -= 1
                self._changed.notify_all()
            raise
        with self._changed:
            self._counts.opened += 1
        return Member(opened, time.monotonic(), generation)

    def _drop(self, member: Member, *, is_lost: bool) -> None:
        member.connection.close()
        with self._changed:
            self._counts.size -= 1
            self._counts.lost += is_lost
            self._counts.recycled += not is_lost
            self._changed.notify_all()

    def _after_fork(self) -> None:
        """Leave the connections of the parent open: to close them here would end them there."""
        if self._pid == os.getpid():
            return
        with _forked:
            if self._pid != os.getpid():
                self._of_parent += self._idle
                self._idle, self._queue, self._counts = [], deque(), _Counts()
                self._changed = threading.Condition()
                self._pid = os.getpid()


def _works(member: Member) -> bool:
    """Whether a connection that rested can be used: nothing came in meanwhile (its end would), and it answers."""
    if member.connection.closed:
        return False
    if not _came_in(member.connection) and time.monotonic() - member.rested_at < PING_AFTER_SECONDS:
        return True
    try:
        with member.connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        member.connection.rollback()
    except psycopg2.Error:
        return False
    return True


def _came_in(one: connection) -> bool:
    waiting = select.poll()  # unlike select(), of a process with any number of open files
    waiting.register(one.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def _settled(member: Member) -> bool:
    """Whether the connection is open and can be used again; an open transaction is rolled back here."""
    one = member.connection
    try:
        if not one.closed and one.info.transaction_status != TRANSACTION_STATUS_IDLE:
            one.rollback()
        if member.was_lent and not one.closed:
            member.was_lent = False
            return _as_opened(one)
    except psycopg2.Error:
        return False
    return not one.closed


def _as_opened(one: connection) -> bool:
    """Undo what a session was set to: its autocommit, isolation, settings, locks, temporary tables."""
    one.set_session(isolation_level="default", readonly="default", deferrable="default", autocommit=True)
    with one.cursor() as cursor:
        cursor.execute("DISCARD ALL")
    one.autocommit = False
    return (one.get_parameter_status("DateStyle") or "").startswith("ISO")  # the driver reads no other
