"""PostgreSQL as the program sees it: connections shared by threads, transactions, locks, and statements by name.

Here: whose connection it is and for how long, what is tried again, how errors are told. Not here: what a statement does
to rows, which is in `transaction`; how many connections there are, which is in `pool`.
"""

import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import psycopg2
from psycopg2 import sql

from apex_pipeline.errors import ConfigError, StorageError, StorageUnavailable
from apex_pipeline.settings import Settings
from apex_pipeline.store.connection import connect, where
from apex_pipeline.store.place import place_of
from apex_pipeline.store.pool import Member, Pool
from apex_pipeline.store.scopes import scope, timeout_of, told_as_storage
from apex_pipeline.store.transaction import Query, Row, Transaction

T = TypeVar("T")

HEALTH_SECONDS = 5.0
TRIES = 6
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 1.0
"""Between tries the pause doubles, and is drawn at random below that, so that two who met do not meet again."""

_cursors = count()


def database_name(url: str) -> str:
    """The database a URL names; libpq's own default is not relied on."""
    name = unquote(urlsplit(url).path.lstrip("/"))
    if not name:
        raise ConfigError("APEX_DATABASE_URL names no database: end it with /apex, for example")
    return name


class Database:
    """PostgreSQL, over connections that are opened when first used and shared by the threads of this process.

    `config`: settings, a URL, or what `database:` holds in apex.yaml. A thread keeps its connection within a block
    (`transaction`, `lock`, `acquire`), and blocks within blocks share it. `statement_timeout`: seconds after which a
    statement is given up, None for never; `read_only`: the server refuses to write. A statement is the name of a file
    in `store/sql`, or SQL text.

    Raises StorageUnavailable when the server cannot be reached, ConfigError when the settings name none.
    """

    def __init__(
        self,
        config: str | Settings | Mapping[str, Any],
        *,
        statement_timeout: float | None = None,
        read_only: bool = False,
    ) -> None:
        place = place_of(config)
        self.url = place.url
        self._pool = Pool(
            lambda: connect(place.url, statement_timeout, read_only=read_only),
            place.pool.min_connections,
            place.pool.max_connections,
        )
        self._of_thread = threading.local()

    def connect(self) -> None:
        """Open the connections that a pool keeps at least, now instead of at first use."""
        self._pool.warm()

    def close(self) -> None:
        """Close the connections; they open again when used."""
        if member := self._member():
            member.connection.close()
        self._pool.close()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def health_check(self) -> bool:
        """Whether the database answers: one try, no longer than five seconds once it is reached."""
        try:
            with self._held(HEALTH_SECONDS), self.transaction(HEALTH_SECONDS) as tx:
                return tx.fetchval("SELECT 1") == 1
        except (StorageError, psycopg2.Error):
            return False

    def get_pool_stats(self) -> dict[str, int]:
        """Connections of this process: size, idle, in_use, waiting, bounds, and what happened to those before."""
        return self._pool.stats()

    @contextmanager
    def acquire(self) -> Generator[psycopg2.extensions.connection]:
        """A connection of this thread's own for the time of the block; what is not committed is rolled back.

        What its session was set to is undone afterwards.
        """
        with self._held() as member:
            member.was_lent = True
            yield member.connection

    def _member(self) -> Member | None:
        """The connection that this thread holds, unless it is that of a parent process."""
        member: Member | None = getattr(self._of_thread, "member", None)
        return member if member is not None and member.is_own else None

    @contextmanager
    def _held(self, wait: float | None = None) -> Generator[Member]:
        """The connection that this thread holds already, or one of the pool for the time of the block."""
        if (member := self._member()) is not None:
            yield member
            return
        member = self._of_thread.member = self._pool.take(wait)
        try:
            yield member
        finally:
            self._of_thread.member = None
            self._give(member)

    def _give(self, member: Member) -> None:
        member.is_rehearsing = member.in_transaction = False
        member.after_commit.clear()
        if member.is_own:
            self._pool.give(member)

    @contextmanager
    def transaction(self, timeout: float | None = None) -> Generator[Transaction]:
        """A transaction that commits at the end of the block and rolls back on any error; within another, a part of it.

        `timeout`: seconds that each of its statements may take. Raises StorageUnavailable for a connection that was
        lost and for a deadlock or serialization failure: nothing was stored then. StorageUncertain where the connection
        was lost while committing.
        """
        with self._held() as member, self._begun(member, timeout) as tx:
            yield tx

    @contextmanager
    def _begun(self, member: Member, timeout: float | None) -> Generator[Transaction]:
        is_part = member.is_busy
        with told_as_storage(member, self.url), scope(member), member.connection.cursor() as cursor:
            tx = Transaction(cursor)
            with timeout_of(tx, timeout, is_part=is_part):
                yield tx

    @property
    def in_transaction(self) -> bool:
        """Whether this thread stands in a transaction or a rehearsal: what it reads and writes may not be stored."""
        member = self._member()
        return member is not None and member.is_busy

    def after_commit(self, work: Callable[[], object]) -> None:
        """Do `work` once what this thread writes is stored: now, or when its open transaction is committed.

        It is never done where that transaction, or the part of it that stands open now, is rolled back. `work` raises
        nothing and uses no database.
        """
        if self.in_transaction and (member := self._member()) is not None:
            member.after_commit.append(work)
        else:
            work()

    def run(self, work: Callable[[Transaction], T], timeout: float | None = None) -> T:
        """What `work` returns of a transaction; run again after a lost connection, a deadlock, a serialization failure.

        `work` does nothing but use the transaction. A server that was never reached is tried once, and so is a part of
        an outer transaction, which only its owner can begin again.
        """
        for pause in (*_pauses(), None):
            try:
                with self.transaction(timeout) as tx:
                    return work(tx)
            except StorageUnavailable:
                if pause is None or not self._may_repeat():
                    raise
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _may_repeat(self) -> bool:
        """Whether what failed was all of a transaction, and nothing was lost that this thread holds around it."""
        member = self._member()
        if member is not None:
            return not member.is_busy and not member.connection.closed
        return bool(self.get_pool_stats()["opened"])

    def fetch(self, query: Query, /, *args: Any, timeout: float | None = None, **params: Any) -> list[Row]:
        """All rows of a statement, in a transaction of its own; `args` stand for its %s, `params` for its %(names)s.

        `timeout`: seconds that it may take. What `run` says of trying again holds here and below.
        """
        return self.run(lambda tx: tx.fetch(query, *args, **params), timeout)

    def fetchrow(self, query: Query, /, *args: Any, timeout: float | None = None, **params: Any) -> Row | None:
        """The first row of a statement, or None."""
        return self.run(lambda tx: tx.fetchrow(query, *args, **params), timeout)

    def fetchval(
        self, query: Query, /, *args: Any, column: int = 0, timeout: float | None = None, **params: Any
    ) -> Any:
        """One column of the first row, counted from 0, or None."""
        return self.run(lambda tx: tx.fetchval(query, *args, column=column, **params), timeout)

    def execute(self, query: Query, /, *args: Any, timeout: float | None = None, **params: Any) -> int:
        """Run a statement in a transaction of its own; returns the rows it touched."""
        return self.run(lambda tx: tx.execute(query, *args, **params), timeout)

    def executemany(
        self, query: Query, rows: Iterable[Sequence[Any] | Mapping[str, Any]], timeout: float | None = None
    ) -> int:
        """Run a statement for each of these rows of parameters, all or none; returns how many they were."""
        given = list(rows)
        return self.run(lambda tx: tx.executemany(query, given), timeout)

    def stream(
        self, query: Query, /, *args: Any, size: int = 2000, timeout: float | None = None, **params: Any
    ) -> Iterator[Row]:
        """The rows of a statement one by one; the server sends `size` at a time, so memory does not grow with them.

        Within a transaction of this thread they are read in it; otherwise over a connection of the stream's own until
        it ends or is closed, so that what is done meanwhile is stored whatever becomes of the stream.
        `timeout`: seconds that each part may take; within a transaction, the time that this has.
        """
        around = self._member()
        if around is not None and around.is_busy:
            with told_as_storage(around, self.url):
                yield from self._streamed(around, query, args, params, size)
            return
        member = self._pool.take()
        try:
            with self._begun(member, timeout):
                yield from self._streamed(member, query, args, params, size)
        finally:
            self._give(member)

    def _streamed(
        self, member: Member, query: Query, args: Sequence[Any], params: Mapping[str, Any], size: int
    ) -> Iterator[Row]:
        with member.connection.cursor(f"apex_stream_{next(_cursors)}") as cursor:
            cursor.itersize = size
            yield from Transaction(cursor).stream(query, *args, **params)

    def table_exists(self, name: str) -> bool:
        """Whether there is a table or view of this name."""
        return "\0" not in name and bool(self.fetchval("table_exists", name=name))

    def get_table_row_count(self, name: str) -> int:
        """The rows of a table or view, counted; StorageError where there is none of this name."""
        if not self.table_exists(name):
            raise StorageError(f"there is no table {name!r} in the database {where(self.url)}")
        return int(self.fetchval(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))))

    @contextmanager
    def sealed(self) -> Generator[Transaction]:
        """As `transaction`, for a stage that writes tables which only stages write: it seals the account-days it wrote.

        What is written otherwise breaks the seal of its account-day, which a check tells.
        """
        with self.transaction() as tx:
            tx.execute("seals_begin")
            yield tx
            tx.execute("seals_end")

    @contextmanager
    def rehearsal(self, *locks: str) -> Generator[None]:
        """Whatever this thread's transactions do within the block is rolled back at its end; they see each other.

        `locks` are held throughout: what a stage wrote within stays locked after the stage gave its own lock back, and
        who takes that lock then would wait for the rows, while a later stage of the block waits for the lock.
        """
        with self._held() as member, ExitStack() as stack:
            for name in locks:
                stack.enter_context(self.lock(name))
            member.is_rehearsing = True
            try:
                yield
            finally:
                member.is_rehearsing = False
                member.after_commit.clear()
                if not member.connection.closed:
                    member.connection.rollback()

    @contextmanager
    def autocommit(self) -> Generator[psycopg2.extensions.cursor]:
        """A cursor outside any transaction, for the few statements that need it."""
        with self._held() as member:
            member.connection.autocommit = True
            try:
                with member.connection.cursor() as cursor:
                    yield cursor
            finally:
                if not member.connection.closed:
                    member.connection.autocommit = False

    @contextmanager
    def lock(self, name: str, on_wait: Callable[[], None] = lambda: None) -> Generator[None]:
        """Hold a session-level advisory lock by name; released also when this process dies.

        `on_wait` is called once if another connection holds the lock.
        """
        with self._held() as member:
            if not self.fetchval("lock_try", name=name):
                on_wait()
                self.fetchval("lock_wait", name=name)
            try:
                yield
            finally:
                self._release(member, name)

    def _release(self, member: Member, name: str) -> None:
        """Give a lock back; with the connection itself, where its transaction does nothing any more."""
        if member.connection.closed or not member.is_own:
            return
        try:
            self.fetchval("lock_release", name=name)
        except (psycopg2.Error, StorageError):
            member.is_spoiled = True


def _pauses() -> Iterator[float]:
    """Seconds to wait before each further try."""
    for number in range(TRIES - 1):
        yield random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**number))  # noqa: S311
