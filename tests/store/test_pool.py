"""Connections are shared by threads in turn; broken and old ones are replaced; a child of a fork has its own."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg2
import pytest

from apex_pipeline.errors import StorageError, StorageUnavailable
from apex_pipeline.store import pool as pools
from apex_pipeline.store.connection import connect
from apex_pipeline.store.pool import Member, Pool
from tests.store.rows import query


@pytest.fixture
def make(server_url: str) -> Iterator[Callable[..., Pool]]:
    made: list[Pool] = []

    def one(least: int = 0, most: int = 2) -> Pool:
        made.append(Pool(lambda: connect(server_url), least, most))
        return made[-1]

    yield one
    for pool in made:
        pool.close()


def backend(member: Member) -> int:
    return member.connection.info.backend_pid


def end(url: str, *members: Member) -> None:
    query(url, "SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) AS pid", [backend(one) for one in members])


def nothing_came_in(_: object) -> bool:
    """As where the end of a connection is not noticed before it is asked."""
    return False


def counted(pool: Pool, *names: str) -> tuple[int, ...]:
    stats = pool.stats()
    return tuple(stats[name] for name in names)


def test_connections_are_opened_when_needed_and_used_again(make: Callable[..., Pool]) -> None:
    pool = make(0, 2)
    assert counted(pool, "size", "opened", "min_connections", "max_connections") == (0, 0, 0, 2)
    first = pool.take()
    pool.give(first)
    second = pool.take()
    assert second is first
    other = pool.take()
    assert counted(pool, "size", "idle", "in_use", "opened") == (2, 0, 2, 2)
    pool.give(second)
    pool.give(other)
    assert counted(pool, "size", "idle", "in_use", "opened", "recycled", "lost") == (2, 2, 0, 2, 0, 0)


def test_a_warm_pool_holds_its_least_and_asks_the_server_even_where_that_is_none(make: Callable[..., Pool]) -> None:
    pool = make(3, 4)
    pool.warm()
    pool.warm()
    assert counted(pool, "size", "idle", "opened") == (3, 3, 3)
    unreachable = Pool(lambda: connect("postgresql://127.0.0.1:1/apex"), 0, 2)
    with pytest.raises(StorageUnavailable, match=r"^cannot reach the database 127.0.0.1:1/apex: [^\n]+$"):
        unreachable.warm()
    assert counted(unreachable, "size", "in_use") == (0, 0), "a failure to open leaves its place to the next"


def test_who_waits_too_long_is_told_and_takes_nothing(make: Callable[..., Pool]) -> None:
    pool = make(0, 1)
    held = pool.take()
    started = time.monotonic()
    with pytest.raises(StorageError, match=r"all 1 connections .* in use for 0.05 s: .*max_connections"):
        pool.take(wait=0.05)
    assert time.monotonic() - started < 5
    pool.give(held)
    assert counted(pool, "waiting", "size", "idle") == (0, 1, 1)
    assert pool.take(wait=0.05) is held


def test_who_waits_is_served_in_turn_whoever_else_asks_again_and_again(make: Callable[..., Pool]) -> None:
    pool = make(0, 1)
    turns: Counter[str] = Counter()
    start = threading.Barrier(4)
    until = time.monotonic() + 0.3

    def greedy(name: str) -> None:
        start.wait(10)
        while time.monotonic() < until:
            member = pool.take()
            turns[name] += 1
            time.sleep(0.001)
            pool.give(member)

    threads = [threading.Thread(target=greedy, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(turns.values()) - min(turns.values()) <= 3, turns
    assert counted(pool, "size", "opened", "waiting") == (1, 1, 0)


def test_no_more_than_the_most_are_ever_open(make: Callable[..., Pool], server_url: str) -> None:
    pool = make(0, 3)
    seen: list[int] = []

    def use(_: int) -> None:
        member = pool.take()
        seen.append(pool.stats()["size"])
        with member.connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        pool.give(member)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(use, range(120)))
    assert max(seen) <= 3
    assert counted(pool, "size", "in_use") == (pool.stats()["idle"], 0)


def test_a_connection_that_the_server_ended_is_replaced_before_it_is_given(
    make: Callable[..., Pool], server_url: str
) -> None:
    pool = make(2, 2)
    pool.warm()
    first, second = pool.take(), pool.take()
    pids = {backend(first), backend(second)}
    pool.give(first)
    pool.give(second)
    end(server_url, first, second)
    fresh = pool.take()
    assert backend(fresh) not in pids
    assert counted(pool, "lost", "opened") == (2, 3)
    pool.give(fresh)


def test_what_rested_long_is_asked_whether_it_works(
    make: Callable[..., Pool], server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "PING_AFTER_SECONDS", 0)
    pool = make()
    member = pool.take()
    pool.give(member)
    assert pool.take() is member
    assert member.connection.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_IDLE
    pool.give(member)
    monkeypatch.setattr(pools, "_came_in", nothing_came_in)
    end(server_url, member)
    fresh = pool.take()
    assert fresh is not member
    assert counted(pool, "lost") == (1,)
    pool.give(fresh)


def test_a_connection_that_is_old_is_recycled_when_it_is_given_back(
    make: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make()
    member = pool.take()
    monkeypatch.setattr(pools, "RECYCLE_SECONDS", 0)
    pool.give(member)
    assert member.connection.closed
    assert counted(pool, "size", "recycled", "lost") == (0, 1, 0)


def test_after_close_it_opens_anew_and_what_was_out_is_not_taken_back(make: Callable[..., Pool]) -> None:
    pool = make()
    out, resting = pool.take(), pool.take()
    pool.give(resting)
    pool.close()
    assert resting.connection.closed
    assert not out.connection.closed
    pool.give(out)
    assert out.connection.closed
    assert counted(pool, "size", "idle") == (0, 0)
    fresh = pool.take()
    assert not fresh.connection.closed
    pool.give(fresh)


def test_a_transaction_that_was_left_open_is_rolled_back_before_the_next_has_it(make: Callable[..., Pool]) -> None:
    pool = make(0, 1)
    member = pool.take()
    with member.connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE left_behind (n int)")
    pool.give(member)
    member = pool.take()
    with member.connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('left_behind')")
        assert cursor.fetchone() == (None,)
    pool.give(member)


def test_what_a_lent_session_was_set_to_is_undone(make: Callable[..., Pool]) -> None:
    pool = make(0, 1)
    member = pool.take()
    member.was_lent = True
    member.connection.autocommit = True
    with member.connection.cursor() as cursor:
        cursor.execute("SET timezone = 'Asia/Hong_Kong'")
        cursor.execute("CREATE TEMPORARY TABLE mine (n int)")
        cursor.execute("SELECT pg_advisory_lock(7)")
    member.connection.set_session(isolation_level="SERIALIZABLE", readonly=True)
    pool.give(member)
    again = pool.take()
    assert again is member
    assert not again.connection.autocommit
    with again.connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('timezone'), to_regclass('mine'), current_setting('transaction_isolation'), "
            "current_setting('transaction_read_only'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
            "AND pid = pg_backend_pid())"
        )
        assert cursor.fetchone() == ("UTC", None, "read committed", "off", 0)
    pool.give(again)


def in_child(work: Callable[[], bool]) -> bool:
    """What `work` says in a child of a fork."""
    pid = os.fork()
    if pid == 0:
        code = 1
        with suppress(BaseException):
            code = 0 if work() else 1
        os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_opens_its_own_and_leaves_those_of_its_parent_working(make: Callable[..., Pool]) -> None:
    pool = make(2, 2)
    pool.warm()
    used = pool.take()
    theirs = {backend(used)}

    def work() -> bool:
        fresh = pool.take()
        own = backend(fresh) not in theirs and counted(pool, "size", "opened") == (1, 1)
        pool.give(fresh)
        pool.close()
        return own and not used.is_own

    assert in_child(work)
    with used.connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    pool.give(used)
    assert counted(pool, "size", "idle", "lost") == (2, 2, 0)
