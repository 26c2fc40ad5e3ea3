"""The rate limit and the locks hold between processes, and a process that dies keeps nothing locked."""

import multiprocessing
import os
import signal
import time
from itertools import pairwise
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import LiteralString

import pytest

from apex_pipeline.errors import LimitReached
from apex_pipeline.store import transaction as module
from apex_pipeline.store.db import Database
from apex_pipeline.store.limiter import RateLimiter
from tests.store.rows import query, value

LIMIT, WINDOW, PROCESSES, GRANTS = 10, 0.6, 3, 12
SPAWN = multiprocessing.get_context("spawn")

LOG_GRANTS = """
CREATE TABLE granted (at timestamptz NOT NULL);
CREATE FUNCTION log_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(0.02);  -- a wide gap between counting and granting: only a lock can close it
    INSERT INTO granted VALUES (NEW.granted_at);
    RETURN NEW;
END $$;
CREATE TRIGGER log_grant AFTER INSERT ON rate_grants FOR EACH ROW EXECUTE FUNCTION log_grant();
"""


def take(url: str, grants: int, together: Barrier, *, locked: bool) -> None:
    """One process that asks for so many grants; without the lock it runs the same statement without its first line."""
    if not locked:
        _take_the_lock_out()
    with Database(url) as db:
        limiter = RateLimiter(LIMIT, WINDOW, db)
        db.connect()
        together.wait(60)
        for _ in range(grants):
            limiter.acquire("futu:Trd_GetHistoryOrderList:1")


def _take_the_lock_out() -> None:
    whole = module.statement("rate_acquire")
    without = whole.split(";", 1)[1]

    def statement(name: str) -> str:
        return without if name == "rate_acquire" else whole

    module.statement = statement  # pyright: ignore[reportAttributeAccessIssue]


def busiest_window(url: str, *, locked: bool) -> int:
    """The most grants that three processes got within any window."""
    query(url, LOG_GRANTS)
    asked = (url, GRANTS, SPAWN.Barrier(PROCESSES))
    workers = [SPAWN.Process(target=take, args=asked, kwargs={"locked": locked}) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert value(url, "SELECT count(*) FROM granted") == PROCESSES * GRANTS
    return value(
        url,
        "SELECT max(n) FROM (SELECT count(*) OVER"
        " (ORDER BY at RANGE BETWEEN CURRENT ROW AND %s::interval FOLLOWING) AS n FROM granted) AS counted",
        f"{WINDOW} seconds",
    )


def test_three_processes_never_exceed_the_limit_in_any_window(database_url: str) -> None:
    assert busiest_window(database_url, locked=True) == LIMIT


def test_without_the_lock_they_exceed_it(database_url: str) -> None:
    assert busiest_window(database_url, locked=False) > LIMIT


def test_budgets_do_not_share_their_grants(db: Database) -> None:
    limiter = RateLimiter(1, 60, db)
    started = time.monotonic()
    for account in ("1", "2", "3"):
        limiter.acquire(f"futu:Trd_GetOrderFee:{account}")
    assert time.monotonic() - started < 5


def test_a_second_grant_waits_for_the_window_and_tells_how_long(db: Database) -> None:
    limiter = RateLimiter(1, 0.2, db)
    times: list[float] = []
    waits: list[float] = []
    for _ in range(3):
        waits.append(limiter.acquire("b"))
        times.append(time.monotonic())
    assert all(later - earlier >= 0.15 for earlier, later in pairwise(times))
    assert waits[0] < 0.15 <= min(waits[1:])


def test_a_caller_that_cannot_wait_so_long_is_told_at_once_and_takes_nothing(db: Database) -> None:
    limiter = RateLimiter(2, 60, db)
    for _ in range(2):
        assert limiter.acquire("ib:bars", most_seconds=0) < 1, "what is free is granted, however short the time"
    started = time.monotonic()
    with pytest.raises(LimitReached, match="for ib:bars allows the next one in 60 s"):
        limiter.acquire("ib:bars", most_seconds=30)
    assert time.monotonic() - started < 5
    assert value(db.url, "SELECT count(*) FROM rate_grants") == 2
    soon = RateLimiter(1, 0.2, db)
    assert soon.acquire("b", most_seconds=5) < 0.15 <= soon.acquire("b", most_seconds=5)


def test_what_left_the_window_is_forgotten(db: Database) -> None:
    limiter = RateLimiter(2, 0.05, db)
    for _ in range(9):
        limiter.acquire("b")
    assert value(db.url, "SELECT count(*) FROM rate_grants") <= 2


def hold(url: str, name: str, flag: str) -> None:
    """A process that takes a lock, says so and never lets go."""
    with Database(url) as db, db.lock(name):
        Path(flag).touch()
        time.sleep(300)


def holding(url: str, name: str, flag: Path) -> BaseProcess:
    worker = SPAWN.Process(target=hold, args=(url, name, str(flag)), daemon=True)
    worker.start()
    deadline = time.monotonic() + 30
    while not flag.exists():
        assert time.monotonic() < deadline, "the other process never took the lock"
        time.sleep(0.01)
    return worker


def test_the_lock_of_a_killed_process_is_free_again(db: Database, tmp_path: Path) -> None:
    worker = holding(db.url, "apex:ingest:FUTU", tmp_path / "taken")
    assert db.fetchval("lock_try", name="apex:ingest:FUTU") is False
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(10)
    started, waited = time.monotonic(), list[str]()
    with db.lock("apex:ingest:FUTU", lambda: waited.append("waited")):
        assert time.monotonic() - started < 10


def test_a_living_process_keeps_others_out_of_its_lock_only(db: Database, tmp_path: Path) -> None:
    worker = holding(db.url, "apex:ingest:FUTU", tmp_path / "taken")
    try:
        assert lock_timeout_strikes(db.url, "apex:ingest:FUTU")
        assert not lock_timeout_strikes(db.url, "apex:ingest:IB")
    finally:
        worker.kill()
        worker.join(10)


def lock_timeout_strikes(url: str, name: str) -> bool:
    text: LiteralString = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
    return not value(url, text, name)


@pytest.mark.parametrize("fails", [False, True])
def test_a_lock_is_released_at_the_end_of_the_block(db: Database, fails: bool) -> None:
    def block() -> None:
        with db.lock("apex:classify"):
            assert lock_timeout_strikes(db.url, "apex:classify")
            if fails:
                raise KeyError("stop")

    if fails:
        with pytest.raises(KeyError):
            block()
    else:
        block()
    assert not lock_timeout_strikes(db.url, "apex:classify")
