"""A database for threads: what is stored together, what is tried again, and what goes wrong told in one line."""

import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg2
import pytest

from apex_pipeline import settings
from apex_pipeline.errors import ConfigError, SchemaOutdated, StorageError, StorageUnavailable, StorageUncertain
from apex_pipeline.settings import PoolSettings
from apex_pipeline.store import db as databases
from apex_pipeline.store import pool as pools
from apex_pipeline.store.db import Database
from apex_pipeline.store.place import place_of
from apex_pipeline.store.transaction import Transaction
from tests.store.rows import query, value
from tests.store.test_pool import in_child

PID = "SELECT pg_backend_pid()"


@pytest.fixture
def numbers(database_url: str) -> str:
    """A database with a table of two numbers."""
    query(database_url, "CREATE TABLE numbers (name text PRIMARY KEY, n int NOT NULL CHECK (n >= 0))")
    query(database_url, "INSERT INTO numbers VALUES ('a', 0), ('b', 0)")
    return database_url


@pytest.fixture
def ndb(numbers: str) -> Generator[Database]:
    with Database({"url": numbers, "pool": {"min_connections": 1, "max_connections": 4}}) as db:
        yield db


def add(tx: Transaction | Database, name: str, n: int = 1) -> int:
    return tx.execute("UPDATE numbers SET n = n + %s WHERE name = %s", n, name)


def stored(url: str) -> dict[str, int]:
    return dict(query(url, "SELECT name, n FROM numbers"))


def end_others(url: str) -> None:
    query(
        url,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


@contextmanager
def locked(url: str, name: str) -> Generator[None]:
    """Somebody else holds a row."""
    other = psycopg2.connect(url)
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT FROM numbers WHERE name = %s FOR UPDATE", (name,))
        yield
    finally:
        other.close()


# Threads -----------------------------------------------------------------------------------------------------


def test_each_thread_has_a_connection_of_its_own_and_blocks_within_blocks_share_it(ndb: Database) -> None:
    barrier = threading.Barrier(4)

    def work(_: int) -> tuple[int, int, int]:
        with ndb.transaction() as tx:
            outer = tx.fetchval(PID)
            barrier.wait(10)
            with ndb.transaction() as part, ndb.acquire() as connection:
                return outer, part.fetchval(PID), connection.info.backend_pid

    with ThreadPoolExecutor(4) as threads:
        pids = list(threads.map(work, range(4)))
    assert all(len(set(own)) == 1 for own in pids)
    assert len({own[0] for own in pids}) == 4


def test_no_update_of_many_threads_is_lost(ndb: Database, numbers: str) -> None:
    with ThreadPoolExecutor(10) as threads:
        for done in [threads.submit(add, ndb, "a") for _ in range(100)]:
            assert done.result(20) == 1
    assert stored(numbers)["a"] == 100
    stats = ndb.get_pool_stats()
    assert (stats["in_use"], stats["waiting"], stats["max_connections"]) == (0, 0, 4)
    assert stats["size"] == stats["idle"] <= 4


def test_when_all_connections_are_in_use_the_next_thread_waits_and_is_told_at_last(
    numbers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(databases, "HEALTH_SECONDS", 0.1)
    with Database({"url": numbers, "max_connections": 1}) as db, ThreadPoolExecutor(1) as other:
        with db.transaction():
            refused = other.submit(db.fetchval, "SELECT 1")
            with pytest.raises(StorageError, match=r"^all 1 connections [^\n]*in use for 0.1 s: [^\n]+$"):
                refused.result(10)
            assert other.submit(db.health_check).result(10) is False
        assert other.submit(db.fetchval, "SELECT 1").result(10) == 1
        monkeypatch.setattr(pools, "WAIT_SECONDS", 10)
        with db.transaction():
            waiting = other.submit(db.fetchval, "SELECT 1")
            while not db.get_pool_stats()["waiting"]:
                time.sleep(0.001)
        assert waiting.result(10) == 1


# What is lost ------------------------------------------------------------------------------------------------


def test_lost_connections_are_replaced_without_anybody_noticing(ndb: Database, numbers: str) -> None:
    ndb.connect()
    before = ndb.fetchval(PID)
    end_others(numbers)
    assert ndb.fetchval(PID) != before
    assert ndb.health_check()
    assert ndb.get_pool_stats()["lost"] >= 1


def test_what_was_lost_within_a_statement_is_done_again_once(ndb: Database, numbers: str) -> None:
    tries: list[int] = []

    def work(tx: Transaction) -> int:
        tries.append(1)
        add(tx, "a")
        if len(tries) == 1:
            end_others(numbers)
        return add(tx, "b")

    assert ndb.run(work) == 1
    assert (len(tries), stored(numbers)) == (2, {"a": 1, "b": 1})


def test_a_connection_that_is_lost_while_committing_is_told_and_not_tried_again(ndb: Database, numbers: str) -> None:
    tries: list[int] = []

    def work(tx: Transaction) -> None:
        tries.append(add(tx, "a"))
        end_others(numbers)

    with pytest.raises(StorageUncertain, match="look before you repeat it"):
        ndb.run(work)
    assert len(tries) == 1


def test_after_close_it_is_used_again(ndb: Database) -> None:
    before = ndb.fetchval(PID)
    ndb.close()
    assert ndb.get_pool_stats()["size"] == 0
    assert ndb.fetchval(PID) != before


def test_a_server_that_is_not_there_is_unhealthy_and_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(url: str, *_: object, **__: object) -> Any:
        asked.append(url)
        raise StorageUnavailable("cannot reach it")

    monkeypatch.setattr(databases, "connect", refuse)
    with Database("postgresql://127.0.0.1:1/apex") as db:
        assert not db.health_check()
        with pytest.raises(StorageUnavailable):
            db.fetchval("SELECT 1")
    assert len(asked) == 2


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_a_fork_works_and_its_parent_goes_on_even_within_a_transaction(ndb: Database, numbers: str) -> None:
    ndb.connect()
    with ndb.transaction() as tx:
        own = tx.fetchval(PID)
        add(tx, "a")
        assert in_child(lambda: ndb.fetchval(PID) != own and add(ndb, "b") == 1 and ndb.close() is None)
        pid = os.fork()
        if pid == 0:
            try:
                with ndb.transaction():
                    pass
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert tx.fetchval(PID) == own
    assert stored(numbers) == {"a": 1, "b": 1}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_leaves_the_block_of_its_parent_neither_commits_nor_ends_it(ndb: Database, numbers: str) -> None:
    child = -1
    try:
        with ndb.transaction() as tx:
            add(tx, "a")
            child = os.fork()
            if child:
                assert os.waitpid(child, 0)[1] == 0
                assert stored(numbers)["a"] == 0
                add(tx, "a")
    except StorageError as error:
        if child == 0:
            os._exit("ended by the process that began it" not in str(error))
        raise
    if child == 0:
        os._exit(1)
    assert stored(numbers)["a"] == 2


# What is stored together -------------------------------------------------------------------------------------


def test_any_error_rolls_all_of_it_back(ndb: Database, numbers: str) -> None:
    def fail(error: BaseException | None) -> None:
        with ndb.transaction() as tx:
            add(tx, "a")
            if error:
                raise error
            add(tx, "b", -1)

    for error in (ValueError("x"), KeyboardInterrupt(), SystemExit(1)):
        with pytest.raises(type(error)):
            fail(error)
    with pytest.raises(psycopg2.errors.CheckViolation):
        fail(None)
    assert stored(numbers) == {"a": 0, "b": 0}
    assert ndb.get_pool_stats()["in_use"] == 0


def part(db: Database, name: str, error: Exception | None) -> None:
    try:
        with db.transaction() as tx:
            add(tx, name)
            if error:
                raise error
    except ValueError:
        pass


def test_a_part_that_fails_and_is_caught_keeps_what_is_around_it(ndb: Database, numbers: str) -> None:
    with ndb.transaction() as tx:
        add(tx, "a")
        part(ndb, "b", ValueError())
        part(ndb, "a", None)
        with pytest.raises(psycopg2.errors.CheckViolation):
            add(ndb, "b", -5)
        assert tx.fetchval("SELECT n FROM numbers WHERE name = 'a'") == 2
    assert stored(numbers) == {"a": 2, "b": 0}


def test_a_part_that_fails_after_a_part_of_its_own_failed_is_undone_whole(ndb: Database, numbers: str) -> None:
    def middle() -> None:
        with ndb.transaction() as tx:
            add(tx, "a", 10)
            part(ndb, "b", ValueError())
            raise ValueError

    with ndb.transaction() as tx:
        add(tx, "a")
        with pytest.raises(ValueError, match=r"^$"):
            middle()
    assert stored(numbers) == {"a": 1, "b": 0}


# What is tried again -----------------------------------------------------------------------------------------


def met(first: threading.Barrier, tries: list[str]) -> Callable[[str, Callable[[], None]], None]:
    """Let the first try of each of two come to the same point."""

    def wait(name: str, then: Callable[[], None]) -> None:
        tries.append(name)
        if tries.count(name) == 1:
            first.wait(10)
        then()

    return wait


def test_a_serialization_failure_is_tried_again_until_both_are_stored(ndb: Database, numbers: str) -> None:
    tries: list[str] = []
    wait = met(threading.Barrier(2), tries)

    def work(read: str, written: str) -> Callable[[Transaction], None]:
        def run(tx: Transaction) -> None:
            tx.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            seen = tx.fetchval("SELECT n FROM numbers WHERE name = %s", read)
            wait(written, lambda: None)
            tx.execute("UPDATE numbers SET n = %s WHERE name = %s", seen + 1, written)

        return run

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(ndb.run, work("a", "b")), threads.submit(ndb.run, work("b", "a"))]:
            done.result(20)
    assert len(tries) > 2, "one of them failed once"
    assert sorted(stored(numbers).values()) == [1, 2], "one after the other"


def deadlock(run: Callable[[Callable[[Transaction], None]], None]) -> list[str]:
    """Two that lock two rows crosswise, each within `run`; the tries."""
    tries: list[str] = []
    wait = met(threading.Barrier(2), tries)

    def work(first: str, second: str) -> Callable[[Transaction], None]:
        def run_one(tx: Transaction) -> None:
            tx.execute("SET LOCAL deadlock_timeout = '50ms'")
            add(tx, first)
            wait(first, lambda: None)
            add(tx, second)

        return run_one

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(run, work("a", "b")), threads.submit(run, work("b", "a"))]:
            done.result(20)
    return tries


def test_a_deadlock_is_tried_again_until_both_are_stored(ndb: Database, numbers: str) -> None:
    assert len(deadlock(ndb.run)) == 3
    assert stored(numbers) == {"a": 2, "b": 2}


def test_within_an_outer_transaction_nothing_is_tried_again(ndb: Database, numbers: str) -> None:
    def within(work: Callable[[Transaction], None]) -> None:
        with ndb.transaction():
            ndb.run(work)

    with pytest.raises(StorageUnavailable, match=r"^another writer [^\n]*deadlock detected$"):
        deadlock(within)
    assert stored(numbers) == {"a": 1, "b": 1}, "the one that was not chosen"


def test_under_a_lock_of_this_thread_a_failure_is_tried_again(ndb: Database) -> None:
    tries: list[int] = []

    def work(tx: Transaction) -> None:
        tries.append(1)
        if len(tries) < 3:
            tx.execute("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = 'serialization_failure'; END $$")

    with ndb.lock("mine"):
        ndb.run(work)
    assert len(tries) == 3


# Time --------------------------------------------------------------------------------------------------------


def test_a_statement_that_takes_too_long_is_one_clear_line(ndb: Database, numbers: str) -> None:
    for call in (ndb.fetch, ndb.fetchrow, ndb.fetchval, ndb.execute):
        with pytest.raises(StorageError, match=r"^the database [^\n]*statement timeout; [^\n]*more time$"):
            call("SELECT pg_sleep(5)", timeout=0.01)
    with pytest.raises(StorageError, match="statement timeout"):
        list(ndb.stream("SELECT pg_sleep(5)", timeout=0.01))
    with Database(numbers, statement_timeout=0.01) as hurried, pytest.raises(StorageError, match="statement timeout"):
        hurried.fetch("SELECT pg_sleep(5)")
    assert ndb.fetchval("SELECT current_setting('statement_timeout')") == "0"


def test_a_timeout_within_a_transaction_is_that_of_its_statement_alone(ndb: Database) -> None:
    with ndb.transaction(timeout=30) as tx:
        assert ndb.fetchval("SELECT current_setting('statement_timeout')", timeout=1) == "1s"
        assert tx.fetchval("SELECT current_setting('statement_timeout')") == "30s"
        with pytest.raises(StorageError, match="statement timeout"):
            ndb.fetch("SELECT pg_sleep(5)", timeout=0.01)
        assert tx.fetchval("SELECT current_setting('statement_timeout')") == "30s"


def test_a_row_that_somebody_else_holds_too_long_is_one_clear_line(ndb: Database, numbers: str) -> None:
    def work(tx: Transaction) -> None:
        tx.execute("SET LOCAL lock_timeout = '20ms'")
        add(tx, "a")

    with locked(numbers, "a"), pytest.raises(StorageError, match=r"^the database [^\n]*lock timeout; [^\n]*try again"):
        ndb.run(work)
    assert ndb.run(lambda tx: add(tx, "a")) == 1


# Reading -----------------------------------------------------------------------------------------------------


def test_two_hundred_thousand_rows_are_streamed_in_flat_memory(ndb: Database) -> None:
    tracemalloc.start()
    try:
        rows = ndb.stream("SELECT n, repeat('x', 100) AS text FROM generate_series(1, %s) AS n", 200_000)
        assert sum(row["n"] for row in rows) == 200_000 * 200_001 // 2
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 5_000_000, "all of them at once are sixty times as much"
    assert ndb.get_pool_stats()["in_use"] == 0


def test_what_is_stored_while_a_stream_is_read_stays_when_the_stream_is_left(ndb: Database, numbers: str) -> None:
    rows = ndb.stream("SELECT n FROM generate_series(1, 9) AS n", size=2)
    assert next(rows) == {"n": 1}
    add(ndb, "a")
    assert stored(numbers)["a"] == 1, "at once, although the stream is open"
    rows.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert stored(numbers)["a"] == 1
    assert ndb.get_pool_stats()["in_use"] == 0


def test_a_stream_within_a_transaction_sees_what_the_transaction_did(ndb: Database) -> None:
    with ndb.transaction() as tx:
        add(tx, "a", 7)
        assert [row["n"] for row in ndb.stream("SELECT n FROM numbers ORDER BY name")] == [7, 0]
        for row in ndb.stream("SELECT name FROM numbers ORDER BY name", size=1):
            add(tx, row["name"])
        assert tx.fetch("SELECT n FROM numbers ORDER BY name") == [{"n": 8}, {"n": 1}]


def test_parameters_are_told_by_place_by_name_or_as_the_driver_takes_them(ndb: Database) -> None:
    assert ndb.fetchrow("SELECT %s AS a, %s AS b", 1, "x") == {"a": 1, "b": "x"}
    assert ndb.fetchrow("SELECT %(a)s AS a, %(b)s AS b", a=1, b="x") == {"a": 1, "b": "x"}
    assert ndb.fetchrow("SELECT %s AS a, %s AS b", (1, "x")) == {"a": 1, "b": "x"}
    assert ndb.fetchrow("SELECT %(a)s AS a, '%%' AS b", {"a": 1}) == {"a": 1, "b": "%"}
    assert ndb.fetchval("SELECT %s::jsonb", {"a": Decimal("1.10")}) == {"a": Decimal("1.10")}
    assert ndb.fetchval("SELECT 2 = ANY (%s)", [1, 2]) is True
    with pytest.raises(ValueError, match=r"by place .* or by name"):
        ndb.fetch("SELECT %s", 1, a=2)


def test_a_percent_sign_means_itself_in_text_without_parameters(ndb: Database) -> None:
    assert ndb.fetchval("SELECT '100%' || '%s'") == "100%%s"
    assert ndb.fetch("SELECT name FROM numbers WHERE name LIKE 'a%'") == [{"name": "a"}]
    assert list(ndb.stream("SELECT name FROM numbers WHERE name LIKE 'a%'")) == [{"name": "a"}]


def test_each_way_of_reading_gives_what_it_says(ndb: Database) -> None:
    assert ndb.fetch("SELECT 1 AS n WHERE false") == []
    assert ndb.fetchrow("SELECT 1 AS n WHERE false") is None
    assert ndb.fetchval("SELECT 1 WHERE false") is None
    assert [ndb.fetchval("SELECT 1, 2, 3", column=place) for place in range(3)] == [1, 2, 3]
    assert ndb.fetch("UPDATE numbers SET n = n + 1") == []
    assert ndb.execute("UPDATE numbers SET n = n + 1") == 2
    assert ndb.execute("CREATE TABLE more (n int)") == 0
    assert ndb.executemany("INSERT INTO more VALUES (%s)", [(1,), (2,)]) == 2
    assert ndb.executemany("INSERT INTO more VALUES (%(n)s)", [{"n": 3}]) == 1
    with pytest.raises(psycopg2.errors.CheckViolation):
        ndb.executemany("INSERT INTO numbers VALUES (%s, %s)", [("c", 1), ("d", -1)])
    assert ndb.fetchval("SELECT sum(n) FROM more") == 6
    assert ndb.get_table_row_count("numbers") == 2
    with pytest.raises(ValueError, match="no statement 'ordrs_find'"):
        ndb.fetch("ordrs_find")


# Connections, locks, names -----------------------------------------------------------------------------------


def test_a_lent_connection_loses_what_was_not_committed_and_returns_as_it_was(ndb: Database, numbers: str) -> None:
    with ndb.acquire() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE numbers SET n = 5 WHERE name = 'a'")
        connection.commit()
        cursor.execute("UPDATE numbers SET n = 6 WHERE name = 'a'")
        pid = connection.info.backend_pid
    assert stored(numbers)["a"] == 5
    with ndb.acquire() as connection:
        connection.autocommit = True
    with pytest.raises(psycopg2.errors.CheckViolation):
        ndb.run(lambda tx: tx.fetchval(PID) == pid and add(tx, "a") and add(tx, "b", -1))
    assert stored(numbers)["a"] == 5


def test_a_lock_ends_with_its_block_even_where_its_transaction_does_nothing_any_more(ndb: Database) -> None:
    with pytest.raises(SchemaOutdated, match=r"nowhere.*apex migrate"), ndb.transaction() as tx, ndb.lock("mine"):
        tx.fetch("SELECT FROM nowhere")
    with Database(ndb.url) as other:
        assert other.fetchval("lock_try", name="mine")


ATTEMPTS = (
    "numbers; DROP TABLE numbers", 'numbers"; DROP TABLE numbers; --', "numbers WHERE false", "'numbers'", "",
    "Numbers", "public.numbers", "numbers_pkey", "nothing", "a\x00b", "(SELECT 1)", "%s", "%(name)s", "x" * 5000,
)  # fmt: skip


def test_only_a_table_or_view_of_exactly_this_name_exists(ndb: Database) -> None:
    assert ndb.table_exists("numbers")
    assert ndb.table_exists("trading_signals"), "a view"
    for name in ATTEMPTS:
        assert not ndb.table_exists(name), name
        with pytest.raises(StorageError, match="there is no table"):
            ndb.get_table_row_count(name)
    query(ndb.url, 'CREATE TABLE "odd; name%s" (n int)')
    assert ndb.get_table_row_count("odd; name%s") == 0
    assert ndb.get_table_row_count("numbers") == 2


# Where it is -------------------------------------------------------------------------------------------------


def parts_of(url: str, **more: Any) -> dict[str, Any]:
    told = urlsplit(url)
    host = {"host": told.hostname, "port": told.port} if told.hostname else {"host": socket_folder(url)}
    return {**host, "database": told.path.lstrip("/"), "user": told.username or "postgres", **more}


def socket_folder(url: str) -> str:
    return str(psycopg2.connect(url).info.host)


def test_a_database_is_told_by_url_settings_or_mapping(numbers: str, tmp_path: Path) -> None:
    parts = parts_of(numbers)
    loaded = replace(settings.load(environ={}, config_file=tmp_path / "no.yaml"), database_url=numbers)
    for config in (numbers, loaded, {"url": numbers}, parts, {"database": parts, "futu": {"host": "x"}}):
        with Database(config) as db:
            assert db.get_table_row_count("numbers") == 2
    bounds = (
        {"max_connections": 3},
        {"pool": {"max_connections": "3"}},
        {"pool": {"min_connections": 2, "max_connections": 3}},
    )
    for bound in bounds:
        assert place_of({"url": numbers, **bound}).pool == PoolSettings(2, 3)
    assert place_of({"url": numbers, "max_connections": 1}).pool == PoolSettings(1, 1)
    assert place_of({"url": numbers, "pool": None}).pool == PoolSettings()


def test_a_password_and_a_socket_folder_may_hold_any_character(numbers: str) -> None:
    secret = "p@ss:w/o rd?#%25&=+[é]'\"\\"
    place = place_of({"host": "h", "port": 5433, "database": "a b/c", "user": "u@x", "password": secret})
    told = psycopg2.extensions.parse_dsn(place.url)
    assert (told["password"], told["user"], told["dbname"], told["host"], told["port"]) == (
        secret, "u@x", "a b/c", "h", "5433",
    )  # fmt: skip
    folder = "/tmp/a folder/with ?&# signs"
    told = psycopg2.extensions.parse_dsn(place_of({"host": folder, "port": 7, "database": "x"}).url)
    assert (told["host"], told["port"], told["dbname"]) == (folder, "7", "x")
    with pytest.raises(StorageUnavailable) as caught:
        Database({"host": "127.0.0.1", "port": 1, "database": "x", "user": "u", "password": secret}).connect()
    assert secret not in str(caught.value)
    assert quote(secret, safe="") not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"hots": "h"}, r"unknown key 'hots'; the nearest known one is 'host'"),
        ({"url": "postgresql://h/x", "pool": {"max_conections": 3}}, r"nearest known one is 'max_connections'"),
        ({"url": "postgresql://h/x", "pool": 3}, r"database.pool holds"),
        ({"url": "postgresql://h/x", "max_connections": "many"}, r"must be a whole number, not 'many'"),
        ({"url": "postgresql://h/x", "max_connections": 0}, r"0 connections cannot be"),
        ({"url": "postgresql://h/x", "min_connections": 5, "max_connections": 2}, r"5 to 2 connections cannot be"),
        ({}, r"no database is told"),
        ("", r"no database is told"),
        ("mysql://h/x", r"must begin with postgresql://"),
        ({5: "h"}, r"unknown key 5"),
        (None, r"not by a NoneType"),
        (7, r"not by a int"),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_any_connection(config: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Database(config)
    assert "\n" not in str(caught.value)


def test_statistics_tell_what_happened(ndb: Database, numbers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ndb.connect()
    ndb.execute("SELECT 1")
    assert (
        value(
            numbers,
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'apex' AND datname = current_database()",
        )
        == 1
    )
    monkeypatch.setattr(pools, "RECYCLE_SECONDS", 0)
    ndb.execute("SELECT 1")
    assert ndb.get_pool_stats() == {
        "size": 0, "idle": 0, "in_use": 0, "waiting": 0, "min_connections": 1, "max_connections": 4,
        "opened": 1, "recycled": 1, "lost": 0,
    }  # fmt: skip
