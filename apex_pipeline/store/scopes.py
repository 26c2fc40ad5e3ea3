"""What begins and ends a transaction on a connection, and how what goes wrong in it is told.

Here: commit, rollback, savepoints, the driver's errors as ours. Not here: whose connection it is, which is in `db`.
"""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress

import psycopg2
from psycopg2.extensions import TransactionRollbackError

from apex_pipeline.errors import SchemaOutdated, StorageError, StorageUnavailable, StorageUncertain
from apex_pipeline.store.connection import reason, where
from apex_pipeline.store.pool import Member
from apex_pipeline.store.transaction import Transaction, statement


def scope(member: Member) -> AbstractContextManager[None]:
    """A transaction of its own, or a part of the one that stands open; undone on any error."""
    return (_part_of_rehearsal if member.is_rehearsing else _savepoint if member.in_transaction else _whole)(member)


@contextmanager
def told_as_storage(member: Member, url: str) -> Generator[None]:
    """What the driver says of connections, of other writers and of time, in the errors of this program."""
    try:
        yield
    except TransactionRollbackError as error:
        raise StorageUnavailable(f"another writer of {where(url)} stood in the way: {reason(error)}") from error
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        if member.connection.closed:
            raise StorageUnavailable(f"the database {where(url)} was lost: {reason(error)}") from error
        raise StorageError(f"the database {where(url)} did not do it: {reason(error)}{_advice(error)}") from error
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn) as error:
        raise SchemaOutdated(
            f"the database {where(url)} is not as this is written for: {reason(error)}; run `apex migrate`"
        ) from error


@contextmanager
def whatever_told_as_storage() -> Generator[None]:
    """Whatever else the driver says, at the doors of those whose callers are promised errors of this program."""
    try:
        yield
    except psycopg2.Error as error:
        raise StorageError(f"the database did not answer: {reason(error)}") from error


@contextmanager
def timeout_of(tx: Transaction, seconds: float | None, *, is_part: bool) -> Generator[None]:
    """Let each statement of the block take so long; what holds around it holds again afterwards."""
    if seconds is None:
        yield
        return
    before = tx.fetchval("timeout_set", milliseconds=f"{max(1, round(seconds * 1000))}")
    yield
    if is_part:
        tx.execute("timeout_set", milliseconds=before)


def _advice(error: psycopg2.Error) -> str:
    match error:
        case psycopg2.errors.QueryCanceled():
            return "; ask for less at once, or allow it more time"
        case psycopg2.errors.LockNotAvailable():
            return "; another writer holds the rows: try again when it is done"
        case _:
            return ""


@contextmanager
def _whole(member: Member) -> Generator[None]:
    """A transaction of its own."""
    member.in_transaction = True
    try:
        yield
        _commit(member)
    except BaseException:
        member.after_commit.clear()
        with suppress(psycopg2.Error):
            if member.is_own:
                member.connection.rollback()
        raise
    finally:
        member.in_transaction = False
    due, member.after_commit = member.after_commit, []
    for work in due:
        work()


def _commit(member: Member) -> None:
    if not member.is_own:
        raise StorageError("a transaction is ended by the process that began it, and this is a child of it")
    try:
        member.connection.commit()
    except TransactionRollbackError:
        raise
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise StorageUncertain(
            "the database was lost while it stored a change, which it may have stored or not: look before you repeat it"
        ) from error


@contextmanager
def _savepoint(member: Member) -> Generator[None]:
    """A part of the open transaction that can fail alone."""
    waiting = len(member.after_commit)
    with member.connection.cursor() as cursor:
        cursor.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            del member.after_commit[waiting:]
            with suppress(psycopg2.Error):
                # released too, or an outer part of the same name would go back only as far as here
                cursor.execute("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part")
            raise
        cursor.execute("RELEASE SAVEPOINT part")


@contextmanager
def _part_of_rehearsal(member: Member) -> Generator[None]:
    """A transaction within a rehearsal; its temporary tables go with it."""
    with _savepoint(member), member.connection.cursor() as cursor:
        yield
        cursor.execute(statement("temporary_tables_drop"))
