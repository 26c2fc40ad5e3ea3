"""PostgreSQL as the program sees it: connections shared by threads, transactions, locks, and statements by name.

Here: whose connection it is and for how long, what is tried again, how errors are told. Not here: what a statement does
to rows, which is in `transaction`; how many connections there are, which is in `pool`.
"""

import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from itertools import count
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import psycopg2
import psycopg2.extras
from psycopg2 import sql

from apex_pipeline.errors import ConfigError, StorageError, StorageUnavailable, StorageUncertain
from apex_pipeline.settings import Settings
from apex_pipeline.store.connection import connect, reason, where
from apex_pipeline.store.place import place_of
from apex_pipeline.store.pool import Member, Pool
from apex_pipeline.store.transaction import Query, Row, Transaction, statement

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
    statement is given up, None for never. A statement is the name of a file in `store/sql`, or SQL text.

    Raises StorageUnavailable when the server cannot be reached, ConfigError when the settings name none.
    """

    def __init__(self, config: str | Settings | Mapping[str, Any], *, statement_timeout: float | None = None) -> None:
        place = place_of(config)
        self.url = place.url
        self._pool = Pool(
            lambda: connect(place.url, statement_timeout), place.pool.min_connections, place.pool.max_connections
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
        """Whether the database answers within five seconds."""
        try:
            return self.fetchval("SELECT 1", timeout=HEALTH_SECONDS) == 1
        except StorageError:
            return False

    def get_pool_stats(self) -> dict[str, int]:
        """Connections of this process: size, idle, in_use, waiting, bounds, and what happened to those before."""
        return self._pool.stats()

    @contextmanager
    def acquire(self) -> Generator[psycopg2.extensions.connection]:
        """A connection of this thread's own for the time of the block; what is not committed is rolled back."""
        with self._held() as member:
            yield member.connection

    def _member(self) -> Member | None:
        return getattr(self._of_thread, "member", None)

    @contextmanager
    def _held(self) -> Generator[Member]:
        """The connection that this thread holds already, or one of the pool for the time of the block."""
        if (member := self._member()) is not None:
            yield member
            return
        member = self._of_thread.member = self._pool.take()
        try:
            yield member
        finally:
            self._of_thread.member = None
            member.is_rehearsing = member.in_transaction = False
            self._pool.give(member)

    @contextmanager
    def transaction(self, timeout: float | None = None) -> Generator[Transaction]:
        """A transaction that commits at the end of the block and rolls back on any error; within another, a part of it.

        `timeout`: seconds that each of its statements may take. Raises StorageUnavailable for a connection that was
        lost and for a deadlock or serialization failure: nothing was stored then. StorageUncertain where the connection
        was lost while committing.
        """
        with self._held() as member, _told_as_storage(member, self.url), _scope(member), _cursor(member) as cursor:
            tx = Transaction(cursor)
            if timeout is not None:
                tx.execute("timeout_set", milliseconds=f"{max(1, round(timeout * 1000))}")
            yield tx

    def run(self, work: Callable[[Transaction], T], timeout: float | None = None) -> T:
        """What `work` returns of a transaction; run again after a lost connection, a deadlock, a serialization failure.

        `work` does nothing but use the transaction. A server that was never reached is tried once.
        """
        for pause in (*_pauses(), None):
            try:
                with self.transaction(timeout) as tx:
                    return work(tx)
            except StorageUnavailable:
                if pause is None or self._member() is not None or not self.get_pool_stats()["opened"]:
                    raise
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

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

    def stream(self, query: Query, /, *args: Any, size: int = 2000, **params: Any) -> Iterator[Row]:
        """The rows of a statement one by one; the server sends `size` at a time, so memory does not grow with them.

        The connection is this generator's until it ends or is closed.
        """
        with self._held() as member, _told_as_storage(member, self.url), _scope(member):
            name = f"apex_stream_{next(_cursors)}"
            with member.connection.cursor(name, cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                cursor.itersize = size
                yield from Transaction(cursor).stream(query, *args, **params)

    def table_exists(self, name: str) -> bool:
        """Whether there is a table or view of this name."""
        return bool(self.fetchval("table_exists", name=name))

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
                if not member.connection.closed:
                    self.fetchval("lock_release", name=name)


@contextmanager
def _told_as_storage(member: Member, url: str) -> Generator[None]:
    """What the driver says of connections and of other writers, in the errors of this program."""
    try:
        yield
    except psycopg2.extensions.TransactionRollbackError as error:
        raise StorageUnavailable(f"another writer of {where(url)} stood in the way: {reason(error)}") from error
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        if member.connection.closed:
            raise StorageUnavailable(f"the database {where(url)} was lost: {reason(error)}") from error
        raise StorageError(f"the database {where(url)} did not do it: {reason(error)}") from error


def _cursor(member: Member) -> psycopg2.extras.RealDictCursor:
    return member.connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)


def _scope(member: Member) -> AbstractContextManager[None]:
    return (_part_of if member.is_rehearsing else _savepoint if member.in_transaction else _whole)(member)


@contextmanager
def _whole(member: Member) -> Generator[None]:
    """A transaction of its own."""
    member.in_transaction = True
    try:
        yield
        _commit(member.connection)
    except BaseException:
        with suppress(psycopg2.Error):
            member.connection.rollback()
        raise
    finally:
        member.in_transaction = False


def _commit(connection: psycopg2.extensions.connection) -> None:
    try:
        connection.commit()
    except psycopg2.extensions.TransactionRollbackError:
        raise
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise StorageUncertain(
            "the database was lost while it stored a change, which it may have stored or not: look before you repeat it"
        ) from error


@contextmanager
def _savepoint(member: Member) -> Generator[None]:
    """A part of the open transaction that can fail alone."""
    with member.connection.cursor() as cursor:
        cursor.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            with suppress(psycopg2.Error):
                cursor.execute("ROLLBACK TO SAVEPOINT part")
            raise
        cursor.execute("RELEASE SAVEPOINT part")


@contextmanager
def _part_of(member: Member) -> Generator[None]:
    """A transaction within a rehearsal; its temporary tables go with it."""
    with _savepoint(member), member.connection.cursor() as cursor:
        yield
        cursor.execute(statement("temporary_tables_drop"))


def _pauses() -> Iterator[float]:
    """Seconds to wait before each further try."""
    for number in range(TRIES - 1):
        yield random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**number))  # noqa: S311
