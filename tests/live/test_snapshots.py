"""What an engine holds is captured in time and whole, whatever it or its database does meanwhile."""

import itertools
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString

import pytest
from psycopg2 import sql

from apex_pipeline import settings
from apex_pipeline.domain.market import PositionSnapshot
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.results import EventSeverity, RiskSnapshot
from apex_pipeline.errors import ConfigError, StorageError
from apex_pipeline.live import (
    AccountSnapshotRepository,
    Database,
    PositionSnapshotRepository,
    RiskSnapshotRepository,
    SystemEventRepository,
)
from apex_pipeline.live.endings import Endings
from apex_pipeline.live.snapshot_plan import plan_of
from apex_pipeline.live.snapshots import SnapshotService
from apex_pipeline.live.ticker import Ticker
from apex_pipeline.settings import PROJECT_DIR
from tests.store.position_books import ACCOUNT, STOCK, Book, at, cover, day, move
from tests.store.rows import query, value

D = Decimal
NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
FUTU = ("FUTU", "281756")
APPLE = {"symbol": "US.AAPL", "qty": 100, "avg_cost": 150.1}
QUICK = {"position_interval_sec": 0.05, "account_interval_sec": 0.05, "risk_interval_sec": 0.05}
SLOW = dict.fromkeys(QUICK, 3600)


def service(
    db: Database, positions: Any = None, accounts: Any = None, risk: Any = None, **config: Any
) -> SnapshotService:
    """A service at noon whose callbacks return these, or are these."""
    told = [one if one is None or callable(one) else (lambda one=one: one) for one in (positions, accounts, risk)]
    return SnapshotService(db, {**SLOW, **config}, *told, now=lambda: NOON)


def latest(db: Database, broker: str = "FUTU", account_id: str = "281756") -> PositionSnapshot | None:
    return PositionSnapshotRepository(db).get_latest(broker, account_id)


def count(db: Database, table: str = "position_snapshots") -> int:
    return value(db.url, sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))


def until(is_so: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something is so, or fail."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


# What is told -------------------------------------------------------------------------------------------------


@dataclass
class Held:
    """A position as an engine keeps it."""

    symbol: str
    quantity: int | float | Decimal
    average_cost: float | None = None
    broker: str = "futu"
    account_id: int | str = 281756
    side: str | None = None


@pytest.mark.parametrize(
    "answer",
    [
        {FUTU: [APPLE]},
        {("futu", 281756): [Held("US.AAPL", 100, 150.1)]},
        {"281756": [APPLE]},
        {FUTU: {"US.AAPL": {"quantity": "100", "avg_cost": D("150.1")}}},
        [APPLE | {"broker": "FUTU", "account_id": "281756"}],
        (Held("US.AAPL", 100.0, 150.1) for _ in range(1)),
        [{"broker": Broker.FUTU, "account_id": 281756, "positions": [APPLE]}],
        {"broker": "moomoo", "account": 281756, "positions": [APPLE]},
        [PositionSnapshot(Broker.FUTU, "281756", NOON, 1, [APPLE], "ENGINE", None, None)],
        PositionSnapshot(Broker.FUTU, "281756", NOON, 9, [APPLE], "", None, None),
        {FUTU: PositionSnapshot(Broker.FUTU, "281756", NOON, 1, [APPLE], "ENGINE", None, None)},
        {FUTU: [APPLE, {"symbol": "US.KO", "qty": 0}]},
        {FUTU: [APPLE], ("IB", "U1"): None},
    ],
)
def test_positions_of_any_shape_are_stored_with_exact_numbers(db: Database, answer: Any) -> None:
    assert service(db, answer).capture_positions_now() == 1
    stored = latest(db)
    assert stored is not None
    assert (stored.captured_at, stored.position_count, stored.source) == (NOON, 1, "ENGINE")
    assert stored.watermark_at is stored.watermark_count is None
    assert stored.positions == [
        {"symbol": "US.AAPL", "instrument_id": None, "qty": D(100), "avg_cost": D("150.1"), "mark_price": None,
         "market_value": None, "unrealized_pnl": None, "currency": None, "asset_class": None}
    ]  # fmt: skip


def test_every_part_of_a_position_is_kept_and_what_is_not_known_is_null(db: Database) -> None:
    told = {
        "symbol": "US.ESZ6", "conid": 4711, "qty": -2.0, "avg_cost": 0.1, "mark_price": float("nan"),
        "market_value": "-12.30", "unrealized_pnl": 1.7976931348623157e308, "currency": "USD", "sec_type": "FUT",
    }  # fmt: skip
    assert service(db, {("IB", "U1"): [told, Held("US.B", 5, side="short")]}).capture_positions_now() == 1
    stored = latest(db, "IB", "U1")
    assert stored is not None
    first, second = stored.positions
    assert first == {
        "symbol": "US.ESZ6", "instrument_id": "4711", "qty": D(-2), "avg_cost": D("0.1"), "mark_price": None,
        "market_value": D("-12.30"), "unrealized_pnl": None, "currency": "USD", "asset_class": "FUTURE",
    }  # fmt: skip
    assert second["qty"] == D(-5)


def test_what_cannot_be_told_now_is_never_flat_and_an_empty_list_is(db: Database) -> None:
    answers: list[Any] = [{FUTU: [APPLE]}, None, {}, {FUTU: None}, {FUTU: []}]
    told = service(db, lambda: answers.pop(0))
    assert [told.capture_positions_now() for _ in range(4)] == [1, 0, 0, 0]
    assert count(db) == 1
    query(db.url, "UPDATE position_snapshots SET captured_at = captured_at - interval '1 minute'")
    assert told.capture_positions_now() == 1
    stored = latest(db)
    assert stored is not None
    assert (stored.position_count, stored.positions) == (0, [])


def test_a_list_tells_the_accounts_that_were_known_before_and_not_others(db: Database) -> None:
    of_two = [APPLE | {"account_id": "281756"}, APPLE | {"account_id": "U1"}]
    answers: list[Any] = [[], of_two, of_two[:1], []]
    clock = iter(NOON + timedelta(minutes=number) for number in range(9))
    told = SnapshotService(db, SLOW, lambda: answers.pop(0), now=lambda: next(clock))
    assert [told.capture_positions_now() for _ in range(4)] == [0, 2, 2, 2]
    counts = query(db.url, "SELECT account_id, position_count FROM position_snapshots ORDER BY captured_at, account_id")
    assert counts == [("281756", 1), ("U1", 1), ("281756", 1), ("U1", 0), ("281756", 0), ("U1", 0)]


def test_an_empty_list_of_a_service_that_knows_no_account_is_refused_and_told(db: Database) -> None:
    assert service(db, {FUTU: [APPLE]}).capture_positions_now() == 1
    again = service(db, [])  # the engine started anew, and holds nothing
    assert again.capture_positions_now() == 0
    assert "names no account" in again.status()["positions"]["last_error"]
    assert again.status()["positions"]["refused"] == 1
    (event,) = SystemEventRepository(db).get_recent_events(EventSeverity.WARNING)
    assert "tell {(broker, account_id): []}" in event.message


def test_accounts_that_the_account_callback_names_are_known_to_a_list_of_positions(db: Database) -> None:
    assert service(db, [], [{"broker": "IB", "account_id": "U1", "cash": 5}]).capture_all_now() == {
        "positions": 1, "accounts": 1, "risk": 0,
    }  # fmt: skip
    stored = latest(db, "IB", "U1")
    assert stored is not None
    assert stored.positions == []


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([APPLE, {"symbol": "US.KO"}], "US.KO has no quantity"),
        ([APPLE, {"symbol": "US.KO", "qty": float("nan")}], "US.KO has no quantity"),
        ([APPLE, {"symbol": "US.KO", "qty": "1,000"}], "qty of US.KO: '1,000' is not a plain decimal number"),
        ([APPLE, {"symbol": "US.KO", "qty": float("inf")}], "qty of US.KO"),
        ([APPLE, {"symbol": "US.KO", "qty": [1]}], "qty of US.KO: a list is not a number"),
        ([APPLE, {"symbol": "US.KO", "qty": 1, "avg_cost": "?"}], "avg_cost of US.KO"),
        ([APPLE, {"qty": 5}], "names no symbol"),
        ([APPLE, 7], "names no symbol"),
        ([APPLE, APPLE], "US.AAPL is told twice"),
    ],
)
def test_a_malformed_row_refuses_its_account_with_a_reason_and_no_other(
    db: Database, rows: list[Any], reason: str
) -> None:
    told = service(db, {FUTU: rows, ("IB", "U1"): [APPLE]})
    assert told.capture_positions_now() == 1
    assert (latest(db), latest(db, "IB", "U1") is None) == (None, False)
    told.capture_positions_now()
    ((severity, message, details),) = query(db.url, "SELECT severity, message, details FROM system_events")
    assert severity == "WARNING"
    assert reason in message
    assert details["subject"] == "FUTU 281756"
    status = told.status()["positions"]
    assert (status["refused"], status["failures"]) == (2, 0)
    assert reason in status["last_error"]


def test_what_is_refused_again_after_it_was_well_is_told_again(db: Database) -> None:
    answers: list[Any] = [{FUTU: [7]}, {FUTU: [APPLE]}, {FUTU: [7]}, {FUTU: [{"symbol": "A"}]}]
    told = service(db, lambda: answers.pop(0))
    for _ in range(4):
        told.capture_positions_now()
    assert count(db, "system_events") == 3


def test_a_row_of_a_list_that_names_no_account_may_be_of_any(db: Database) -> None:
    told = service(db, [APPLE | {"account_id": "281756"}, {"symbol": "US.KO", "qty": 1}])
    assert told.capture_positions_now() == 0
    assert count(db) == 0
    assert "names no account: US.KO" in told.status()["positions"]["last_error"]


def test_accounts_of_any_shape_are_stored_with_everything_that_was_told(db: Database) -> None:
    row = {
        "net_liquidation": 1000.1,
        "cash_balance": "5",
        "base_currency": "HKD",
        "power": 3.3,
        "at": NOON,
        "x": {1},
    }
    shapes: list[Any] = [{FUTU: row}, [row | {"broker": "FUTU", "account_id": 281756}], {"281756": row}]
    for shape in shapes:
        query(db.url, "DELETE FROM account_snapshots")
        assert service(db, accounts=shape).capture_accounts_now() == 1
        stored = AccountSnapshotRepository(db).get_latest("FUTU", "281756")
        assert stored is not None
        assert (stored.net_liquidation, stored.total_cash_value, stored.currency) == (D("1000.1"), D(5), "HKD")
        assert (stored.unrealized_pnl, stored.realized_pnl, stored.margin_used) == (None, None, None)
        assert stored.payload["power"] == D("3.3")
        assert stored.payload["at"] == NOON.isoformat()


def test_an_account_without_any_amount_or_with_an_unreadable_one_is_refused(db: Database) -> None:
    answer = {FUTU: {"currency": "USD"}, ("IB", "U1"): {"cash": "much"}, ("IB", "U2"): {"cash": 1}}
    told = service(db, accounts=answer)
    assert told.capture_accounts_now() == 1
    assert told.status()["accounts"]["refused"] == 2
    assert count(db, "system_events") == 2


@pytest.mark.parametrize(
    ("answer", "scopes"),
    [
        ({"gross": 1.5, "limits": {"a": float("nan")}}, {"PORTFOLIO": {"gross": D("1.5"), "limits": {"a": None}}}),
        ({"scope": "U1", "metrics": {"gross": 2}}, {"U1": {"gross": 2}}),
        (RiskSnapshot("U1", NOON, {"gross": D("0.1")}), {"U1": {"gross": D("0.1")}}),
        ([{"scope": "U1", "a": 1}, {"scope": "U2", "a": 2}], {"U1": {"a": 1}, "U2": {"a": 2}}),
        (
            Held("A", 1),
            {"281756": {"symbol": "A", "quantity": 1, "average_cost": None, "broker": "futu", "side": None}},
        ),
        ({}, {}),
    ],
)
def test_risk_of_any_shape_is_stored(db: Database, answer: Any, scopes: dict[str, Any]) -> None:
    assert service(db, risk=answer).capture_risk_now() == len(scopes)
    stored = {one.scope: one.metrics for one in RiskSnapshotRepository(db).find_all()}
    assert stored == scopes


# Callbacks and the database -----------------------------------------------------------------------------------


def test_a_callback_that_fails_stops_neither_the_others_nor_the_thread(db: Database) -> None:
    def broken() -> Any:
        raise ZeroDivisionError("no prices")

    def broken_later() -> Iterator[Any]:
        yield APPLE
        raise KeyError("gone")

    told = service(db, broken, {FUTU: {"cash": 1}}, broken_later, **QUICK)
    assert told.capture_all_now() == {"positions": 0, "accounts": 1, "risk": 0}
    status = told.status()
    assert "the callback for positions raised ZeroDivisionError: no prices" in status["positions"]["last_error"]
    assert "KeyError" in status["risk"]["last_error"]
    query(db.url, "DELETE FROM account_snapshots")
    with told:
        until(lambda: told.status()["positions"]["failures"] > 3)
    assert told.status()["accounts"]["failures"] == 0


def test_everything_captured_together_is_of_one_moment(db: Database) -> None:
    told = SnapshotService(db, None, lambda: {FUTU: []}, lambda: {FUTU: {"cash": 1}}, lambda: {"a": 1})
    assert told.capture_all_now() == {"positions": 1, "accounts": 1, "risk": 1}
    moments = query(
        db.url,
        "SELECT captured_at FROM position_snapshots UNION SELECT captured_at FROM account_snapshots "
        "UNION SELECT captured_at FROM risk_snapshots",
    )
    assert len(moments) == 1


def test_what_the_database_refuses_is_told_to_who_asks_and_does_not_stop_the_others(db: Database) -> None:
    told = service(db, {FUTU: [APPLE], ("IB", "U1"): []}, risk={"a": 1})
    query(db.url, "ALTER TABLE position_snapshots ADD CHECK (position_count = 0)")
    with pytest.raises(StorageError, match="position_snapshots refuses a row"):
        told.capture_all_now()
    assert (count(db), count(db, "risk_snapshots")) == (1, 1)
    assert told.status()["positions"]["failures"] == 1


AWAY = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "  # noqa: ISC004
    "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "ALTER TABLE position_snapshots RENAME TO away",
)


@pytest.mark.parametrize("gone", AWAY)
def test_a_thread_survives_the_loss_of_its_database_and_of_its_table(db: Database, gone: LiteralString) -> None:
    clock = (NOON + timedelta(seconds=number) for number in itertools.count())
    with Database(db.url) as own:
        told = SnapshotService(own, QUICK, lambda: {FUTU: [APPLE]}, now=lambda: next(clock))
        told.start()
        until(lambda: count(db) > 1)
        query(db.url, gone)
        if "RENAME" in gone:
            until(lambda: told.status()["positions"]["failures"] > 1)
            query(db.url, "ALTER TABLE away RENAME TO position_snapshots")
        before = count(db)
        until(lambda: count(db) > before + 2)
        told.stop()


def test_without_callbacks_the_ledger_is_captured_up_to_its_newest_movement(db: Database) -> None:
    Book([move("A", 0, 100, 10), move("B", 3, -40, 12)]).store(db)
    now = at(day(2), 12)
    assert SnapshotService(db, now=lambda: now).capture_all_now() == {"positions": 1, "accounts": 0, "risk": 0}
    stored = latest(db, "IB", ACCOUNT)
    assert stored is not None
    assert (stored.source, stored.watermark_at, stored.watermark_count) == ("LEDGER", at(day(0), 15), 1)
    assert [(row["instrument_id"], row["qty"]) for row in stored.positions] == [(STOCK, D(100))]


def test_the_ledger_does_not_replace_what_a_broker_or_engine_told_since(db: Database) -> None:
    Book([move("A", 0, 100, 10)]).store(db)
    now = at(day(2), 12)
    told = PositionSnapshot(Broker.IB, ACCOUNT, at(day(2), 11), 0, [], "ENGINE", None, None)
    PositionSnapshotRepository(db).insert(told)
    assert SnapshotService(db, now=lambda: now).capture_positions_now() == 0
    cover(db, 0, 4)
    assert SnapshotService(db, now=lambda: now).capture_positions_now() == 1, "the ledger has caught up"


def test_old_snapshots_are_removed_and_nothing_else(db: Database) -> None:
    for age in (0, 9.99, 10.01, 400):
        moment = NOON - timedelta(days=age)
        keep = SnapshotService(
            db, None, lambda: {FUTU: []}, lambda: {FUTU: {"cash": 1}}, lambda: {"a": 1}, now=lambda m=moment: m
        )
        keep.capture_all_now()
    query(
        db.url,
        "INSERT INTO ohlcv (symbol, timeframe, opened_at, open, high, low, close, source) "
        "VALUES ('US.A', '1d', '2001-01-01', 1, 1, 1, 1, 'V')",
    )
    tables = ("position_snapshots", "account_snapshots", "risk_snapshots")
    assert service(db, retention_days=10).cleanup() == dict.fromkeys(tables, 2)
    assert service(db, retention_days=10).cleanup() == dict.fromkeys(tables, 0)
    assert [count(db, table) for table in (*tables, "ohlcv")] == [2, 2, 2, 1]


# Threads ------------------------------------------------------------------------------------------------------


def test_instants_do_not_drift_and_do_not_bunch_after_a_long_one() -> None:
    begun: list[float] = []

    def work() -> None:
        begun.append(time.monotonic())
        time.sleep(0.25 if len(begun) == 3 else 0.02)

    started = time.monotonic()
    ticker = Ticker("test", 0.1, work)
    ticker.start()
    until(lambda: len(begun) > 7)
    ticker.end()
    assert ticker.join(5)
    offsets = [(moment - started) / 0.1 for moment in begun]
    assert all(round(offset) >= 1 and offset - int(offset + 0.01) >= -0.01 for offset in offsets)
    late = [offset - int(offset + 0.01) for offset in offsets]
    assert sum(part < 0.5 for part in late) >= len(late) - 2, "each begins soon after start + n x interval"
    assert min(after - before for before, after in itertools.pairwise(offsets)) > 0.5, "none follows at once"
    assert max(after - before for before, after in itertools.pairwise(offsets)) > 2, "control: the long one was longer"


def test_a_capture_that_takes_longer_than_its_interval_does_not_overlap_itself(db: Database) -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def slow() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.12)
        with lock:
            running -= 1

    told = service(db, slow, **QUICK)
    with told:
        until(lambda: told.status()["positions"]["captures"] > 2)
        told.capture_positions_now()
    assert most == 1


def test_a_slow_callback_does_not_delay_the_others(db: Database) -> None:
    release = threading.Event()
    told = service(db, release.wait, risk=lambda: None, **QUICK)
    told.start()
    until(lambda: told.status()["risk"]["captures"] > 3)
    assert told.status()["positions"]["captures"] <= 1
    release.set()
    told.stop()


def test_started_twice_is_started_once_and_stop_ends_at_once_with_a_last_capture(db: Database) -> None:
    before = threading.active_count()
    told = service(db, {FUTU: [APPLE]})
    told.start()
    names = sorted(one.name for one in threading.enumerate() if one.name.startswith("snapshots"))
    told.start()
    assert sorted(one.name for one in threading.enumerate() if one.name.startswith("snapshots")) == names
    assert names == ["snapshots-cleanup", "snapshots-positions"]
    assert told.status()["running"]
    assert count(db) == 0, "the first is one interval later: an engine that begins holds nothing yet"
    began = time.monotonic()
    told.stop()
    assert time.monotonic() - began < 2
    assert count(db) == 1
    told.stop()
    assert (count(db), told.status()["running"]) == (1, False)
    assert threading.active_count() <= before + 1


def test_a_cleanup_that_fails_whatever_the_reason_comes_again(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Semaphore(0)

    def fail() -> dict[str, int]:
        tried.release()
        raise MemoryError

    for name in ("FIRST_CLEANUP_SECONDS", "DAY_SECONDS"):
        monkeypatch.setattr(f"apex_pipeline.live.snapshots.{name}", 0.01)
    told = service(db, {FUTU: [APPLE]})
    monkeypatch.setattr(told, "cleanup", fail)
    with told:
        assert all(tried.acquire(timeout=10) for _ in range(3))


def test_without_a_last_capture_or_when_disabled_nothing_is_captured(db: Database) -> None:
    with service(db, {FUTU: [APPLE]}, capture_on_shutdown=False):
        pass
    with service(db, {FUTU: [APPLE]}, enabled=False) as told:
        assert not told.status()["running"]
    assert count(db) == 0
    assert told.capture_positions_now() == 1, "control: who asks is served"


def test_a_callback_that_hangs_does_not_keep_the_end_waiting(db: Database) -> None:
    release = threading.Event()
    told = service(db, release.wait, risk={"a": 1}, **QUICK)
    told.start()
    until(lambda: told.status()["positions"]["captures"] == 1)
    began = time.monotonic()
    told.stop(timeout=0.3)
    assert time.monotonic() - began < 3
    assert count(db, "risk_snapshots") >= 1
    release.set()


# The end of a process -----------------------------------------------------------------------------------------

ENGINE = """
import signal, sys, time, threading
from apex_pipeline.live import Database
from apex_pipeline.live.snapshots import SnapshotService

db = Database(sys.argv[1])
service = SnapshotService(db, {"interval_seconds": 3600}, lambda: {("FUTU", "1"): [{"symbol": "US.A", "qty": 1}]})
"""


@contextmanager
def engine(url: str, rest: str) -> Generator["subprocess.Popen[str]"]:
    """A process that runs an engine and says `ready`."""
    code = ENGINE + textwrap.dedent(rest)
    child = subprocess.Popen(
        [sys.executable, "-c", code, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT_DIR
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n", child.stderr.read() if child.stderr else ""
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate()


SLEEPING = """
service.start()
print("ready", flush=True)
while True: time.sleep(60)
"""


def test_sigterm_makes_the_last_capture_and_ends_the_process_as_without(db: Database) -> None:
    with engine(db.url, SLEEPING) as child:
        assert count(db) == 0
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == -signal.SIGTERM
    assert count(db) == 1


def test_sigkill_makes_none(db: Database) -> None:
    """The control of the test above."""
    with engine(db.url, SLEEPING) as child:
        child.kill()
        child.wait(20)
    assert count(db) == 0


@pytest.mark.parametrize(
    ("handled", "code"),
    [
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); service.start()", 3),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); service.start(sigterm=True)", 3),
        ("service.start(sigterm=False); signal.signal(signal.SIGTERM, signal.default_int_handler)", 1),
        ("service.start(); signal.raise_signal(signal.SIGINT) if 0 else None", -signal.SIGTERM),
    ],
)
def test_what_a_program_does_on_sigterm_itself_stays_and_the_last_capture_is_made(
    db: Database, handled: str, code: int
) -> None:
    with engine(db.url, handled + '\nprint("ready", flush=True)\nwhile True: time.sleep(60)') as child:
        child.send_signal(signal.SIGTERM)
        child.wait(20)
        assert child.returncode in (code, -signal.SIGINT if code == 1 else code)
    assert count(db) == 1


@pytest.mark.parametrize("last", ["sys.exit(0)", "1 / 0", "pass"])
def test_the_end_of_a_program_makes_the_last_capture(db: Database, last: str) -> None:
    with engine(db.url, f'service.start()\nprint("ready", flush=True)\n{last}') as child:
        child.wait(20)
    assert count(db) == 1


def test_a_child_of_a_fork_ends_on_sigterm_and_captures_nothing(db: Database) -> None:
    forking = """
    import os
    service.start()
    here, there = os.pipe()
    pid = os.fork()
    if not pid:
        signal.alarm(60)  # whatever happens
        os.write(there, b"!")  # a signal that comes before Python is back from the fork is lost
        while True: time.sleep(60)
    os.read(here, 1)
    os.kill(pid, signal.SIGTERM)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGTERM
    print("ready", flush=True)
    os._exit(0)
    """
    with engine(db.url, forking) as child:
        assert child.wait(20) == 0
    assert count(db) == 0


def test_two_services_of_a_process_both_capture_before_it_ends(db: Database) -> None:
    two = """
    other = SnapshotService(db, None, get_risk_snapshot_callback=lambda: {"a": 1})
    other.start(); service.start()
    print("ready", flush=True)
    while True: time.sleep(60)
    """
    with engine(db.url, two) as child:
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == -signal.SIGTERM
    assert (count(db), count(db, "risk_snapshots")) == (1, 1)


def test_sigterm_can_be_asked_for_in_the_main_thread_only(db: Database) -> None:
    found: list[BaseException] = []

    def ask() -> None:
        try:
            service(db, []).start(sigterm=True)
        except ValueError as error:
            found.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert "main thread" in str(found[0])


def test_the_handler_of_before_is_back_when_nobody_is_left() -> None:
    before = signal.getsignal(signal.SIGTERM)
    endings, finish = Endings(), list[int]()

    def note() -> None:
        finish.append(1)

    try:
        endings.add(note, sigterm=True)
        assert signal.getsignal(signal.SIGTERM) != before
        endings.remove(note)
        assert signal.getsignal(signal.SIGTERM) == before
    finally:
        signal.signal(signal.SIGTERM, before)
    endings.run()
    assert finish == []


# Configuration ------------------------------------------------------------------------------------------------


@dataclass
class Told:
    """Settings of snapshots as the program will have them."""

    position_interval_sec: float = 300
    account_interval_sec: float = 60
    risk_interval_sec: float = 60
    interval_seconds: float = 300
    retention_days: int = 30
    enabled: bool = True
    capture_on_shutdown: bool = False


@dataclass
class Settings:
    snapshots: Told


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        (None, (60, 60, 60)),
        ({}, (60, 60, 60)),
        ({"position_interval_sec": 300}, (300, 60, 60)),
        ({"snapshots": {"risk_interval_sec": "5"}, "database": {}}, (60, 60, 5)),
        ({"interval_seconds": 7, "risk_interval_sec": 2}, (7, 7, 2)),
        (Told(), (300, 60, 60)),
        (Settings(Told()), (300, 60, 60)),
    ],
)
def test_intervals_are_a_minute_unless_they_are_told(config: Any, seconds: tuple[float, ...]) -> None:
    plan = plan_of(config)
    assert (plan.positions, plan.accounts, plan.risk) == seconds


def test_the_settings_of_the_program_are_a_configuration() -> None:
    plan = plan_of(settings.load(environ={}))
    assert (plan.positions, plan.pipeline, plan.retention_days, plan.enabled) == (60, 300, 365, True)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"position_interval_sec": 0}, "position_interval_sec is 0"),
        ({"risk_interval_sec": "soon"}, "risk_interval_sec is 'soon'"),
        ({"account_interval_sec": True}, "account_interval_sec is True"),
        ({"retention_days": float("inf")}, "retention_days"),
        ({"enabled": "perhaps"}, "enabled is 'perhaps'"),
        ({"position_interval": 5}, "nearest known one is 'position_interval_sec'"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_named(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        plan_of(config)
