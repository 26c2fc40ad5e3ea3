"""The state of an engine: nothing that was saved is lost, nothing stale is read, one signal counts once."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from multiprocessing.synchronize import Barrier
from random import Random
from typing import Any

import pytest

from apex_pipeline.domain.engine import PositionStatus, RolloverStatus
from apex_pipeline.errors import StaleVersion, StorageError
from apex_pipeline.live.remembered import Remembered
from apex_pipeline.live.state import DatabaseStateManager
from tests.live.states import LONG, eventually
from tests.store.rows import query, value

SPAWN = multiprocessing.get_context("spawn")
POSITIONS, WORDS = 5, 40


def test_a_position_comes_back_as_it_was_saved(state: DatabaseStateManager) -> None:
    saved = state.save_position(LONG)
    assert replace(saved, version=0, updated_at=None) == LONG
    assert saved.version == 1
    assert saved.updated_at is not None
    assert state.get_position("Long_1") == saved
    assert state.get_position("Long_1", fresh=True) == saved
    assert state.get_position("Long_2") is None


def test_an_update_raises_the_version_and_keeps_everything_else(state: DatabaseStateManager) -> None:
    first = state.save_position(LONG)
    second = state.save_position(replace(first, current_stop=Decimal(51900), status=PositionStatus.PARTIAL))
    assert (second.version, second.current_stop, second.status) == (2, Decimal(51900), PositionStatus.PARTIAL)
    assert second.entry_price == LONG.entry_price
    assert state.get_all_open_positions() == [second]
    closed = state.save_position(replace(second, status=PositionStatus.CLOSED, rollover_status=RolloverStatus.ROLLED))
    assert state.get_all_open_positions() == []
    assert state.get_position("Long_1", fresh=True) == closed


def test_a_stale_version_is_refused_and_the_stored_row_stays(
    state: DatabaseStateManager, other: DatabaseStateManager
) -> None:
    first = state.save_position(LONG)
    theirs = other.save_position(replace(first, current_stop=Decimal(51700)))
    with pytest.raises(StaleVersion, match="Long_1 has version 2 by now, version 1 was not stored: load it again"):
        state.save_position(replace(first, current_stop=Decimal(1)))
    with pytest.raises(StaleVersion, match="a new row was not stored"):
        state.save_position(LONG)
    assert state.get_position("Long_1", fresh=True) == theirs
    state.delete_position("Long_1")
    with pytest.raises(StaleVersion, match="is gone"):
        other.save_position(theirs)


def test_a_second_read_is_answered_from_memory_and_a_fresh_one_is_not(
    state: DatabaseStateManager, database_url: str
) -> None:
    state.save_position(LONG)
    before = state.get_cache_stats()["hits"]
    assert state.get_position("Long_1") is not None
    assert state.get_cache_stats()["hits"] == before + 1
    query(database_url, "ALTER TABLE portfolio_positions DISABLE TRIGGER tell_changed")
    query(database_url, "UPDATE portfolio_positions SET current_stop = 7, version = 2")  # a change that nobody tells
    remembered, asked = state.get_position("Long_1"), state.get_position("Long_1", fresh=True)
    assert remembered is not None
    assert asked is not None
    assert (remembered.current_stop, asked.current_stop) == (Decimal(51650), Decimal(7))


def test_what_another_process_commits_is_seen(state: DatabaseStateManager, other: DatabaseStateManager) -> None:
    saved = state.save_position(LONG)
    for stop in range(51700, 51720):
        saved = other.save_position(replace(saved, current_stop=Decimal(stop)))
        eventually(lambda saved=saved: state.get_position("Long_1") == saved)
    other.delete_position("Long_1")
    eventually(lambda: state.get_position("Long_1") is None)


def test_what_another_process_rolls_back_is_never_seen(
    state: DatabaseStateManager, other: DatabaseStateManager
) -> None:
    saved = state.save_position(LONG)

    def undone() -> None:
        with other.transaction():
            other.save_position(replace(saved, current_stop=Decimal(1)))
            assert state.get_position("Long_1") == saved
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        undone()
    assert state.get_position("Long_1") == state.get_position("Long_1", fresh=True) == saved
    assert other.get_position("Long_1") == saved


def test_a_change_that_was_heard_of_while_a_row_was_read_wins_over_what_was_read() -> None:
    remembered, key = Remembered(), ("portfolio_positions", "Long_1")
    old, new = replace(LONG, version=1), replace(LONG, version=2)
    epoch = remembered.epoch
    remembered.changed(key, 2)
    remembered.put(key, old, epoch)
    assert remembered.get(key) is None
    remembered.put(key, new, epoch)
    assert remembered.get(key) == new
    remembered.put(key, old, epoch)
    assert remembered.get(key) == new
    remembered.forget()
    remembered.put(key, new, epoch)  # read before everything was forgotten
    assert remembered.get(key) is None


def test_while_nothing_can_be_heard_every_read_asks_the_database(
    state: DatabaseStateManager, database_url: str
) -> None:
    state.save_position(LONG)
    query(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND query LIKE 'LISTEN%%' AND pid <> pg_backend_pid()",
    )
    query(database_url, "UPDATE portfolio_positions SET current_stop = 7, version = version + 1")
    eventually(lambda: (row := state.get_position("Long_1")) is not None and row.current_stop == 7)
    eventually(lambda: state.get_cache_stats()["is_listening"])
    row = state.get_position("Long_1")
    assert row is not None
    assert row.current_stop == 7


def test_what_a_caller_does_to_a_payload_is_not_remembered(state: DatabaseStateManager) -> None:
    state.save_position(LONG)
    row = state.get_position("Long_1")
    assert row is not None
    row.payload["atr"] = "changed"  # pyright: ignore[reportIndexIssue]
    again = state.get_position("Long_1")
    assert again is not None
    assert again.payload == {"atr": Decimal("350.25")}


def test_the_base_position_may_be_unknown_and_is_unknown_once_it_is_deleted(
    state: DatabaseStateManager, other: DatabaseStateManager
) -> None:
    assert state.get_pyramiding_state("GOLD") is None
    first = state.save_pyramiding_state("GOLD", 71000.5)
    assert (first.last_pyramid_price, first.base_position_id, first.version) == (Decimal("71000.5"), None, 1)
    state.save_position(LONG)
    second = state.save_pyramiding_state("BANK_NIFTY", "52000", "Long_1")
    assert state.get_all_pyramiding_states() == {"GOLD": first, "BANK_NIFTY": second}
    assert other.get_pyramiding_state("BANK_NIFTY") == second
    state.delete_position("Long_1")
    without = state.get_pyramiding_state("BANK_NIFTY", fresh=True)
    assert without is not None
    assert without.base_position_id is None
    assert without.last_pyramid_price == 52000
    with pytest.raises(StorageError, match="base_position_id"):
        state.save_pyramiding_state("GOLD", 1, "no such position")


def test_a_signal_counts_once_until_it_is_cleaned_up(state: DatabaseStateManager, other: DatabaseStateManager) -> None:
    assert not state.check_duplicate_signal("f1")
    assert state.log_signal("f1", "BASE_ENTRY", "BANK_NIFTY", {"price": Decimal("52000.05")})
    assert state.check_duplicate_signal("f1")
    assert not other.log_signal("f1", "BASE_ENTRY", "BANK_NIFTY")
    assert state.set_signal_status("f1", "PROCESSED")
    assert state.cleanup_signals() == 0
    assert state.cleanup_signals(timedelta(0)) == 1
    assert other.log_signal("f1", "BASE_ENTRY", "BANK_NIFTY")


def test_what_is_saved_in_one_transaction_is_stored_together_or_not_at_all(
    state: DatabaseStateManager, other: DatabaseStateManager
) -> None:
    def enter(*, fails: bool) -> None:
        with state.transaction():
            assert state.log_signal("f1", "BASE_ENTRY")
            state.save_position(LONG)
            assert state.get_position("Long_1") is not None
            assert other.get_position("Long_1") is None
            state.save_pyramiding_state("BANK_NIFTY", 52000, "Long_1")
            if fails:
                raise RuntimeError("the process is interrupted")

    with pytest.raises(RuntimeError):
        enter(fails=True)
    assert state.get_position("Long_1") is None
    assert not state.check_duplicate_signal("f1")
    enter(fails=False)
    assert state.get_position("Long_1") == other.get_position("Long_1")
    assert other.check_duplicate_signal("f1")


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"position_id": "p", "instrument": "i", "lotz": 1}, "has no 'lotz'; the nearest is 'lots'"),
        ({"position_id": "p", "instrument": "i", "lots": "many"}, "lots must be a number, not 'many'"),
        ({"position_id": "p", "instrument": "i", "lots": float("nan")}, "lots must be a number, not nan"),
        ({"position_id": "p", "instrument": "i", "status": "gone"}, "status is 'gone'; it is one of open, closed"),
        ({"position_id": "p", "instrument": "i", "entry_timestamp": "2026-03-09 12:00"}, "instant with its zone"),
    ],
)
def test_input_that_cannot_be_meant_is_told_and_not_stored(
    state: DatabaseStateManager, told: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        state.save_position(told)
    assert state.get_position("p") is None


def test_a_float_is_stored_as_it_was_written(state: DatabaseStateManager) -> None:
    saved = state.save_position({"position_id": "p", "instrument": "i", "entry_price": 52000.1, "lots": 2})
    assert (saved.entry_price, saved.lots) == (Decimal("52000.1"), Decimal(2))


def test_two_threads_that_move_one_stop_both_get_their_turn(state: DatabaseStateManager) -> None:
    state.save_position(replace(LONG, current_stop=Decimal(0)))
    refused = [0, 0]

    def move(place: int) -> None:
        for _ in range(50):
            while True:
                row = state.get_position("Long_1", fresh=refused[place] > 0)
                assert row is not None
                assert row.current_stop is not None
                try:
                    state.save_position(replace(row, current_stop=row.current_stop + 1))
                    break
                except StaleVersion:
                    refused[place] += 1

    threads = [threading.Thread(target=move, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row = state.get_position("Long_1", fresh=True)
    assert row is not None
    assert (row.current_stop, row.version) == (Decimal(100), 101)


def test_ten_saves_at_once_of_one_version_store_one(state: DatabaseStateManager) -> None:
    first = state.save_position(LONG)
    together, kept, refused = threading.Barrier(10), list[Decimal | None](), list[str]()

    def save(stop: int) -> None:
        together.wait()
        try:
            kept.append(state.save_position(replace(first, current_stop=Decimal(stop))).current_stop)
        except StaleVersion as error:
            refused.append(str(error))

    threads = [threading.Thread(target=save, args=(stop,)) for stop in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(kept), len(refused)) == (1, 9)
    row = state.get_position("Long_1", fresh=True)
    assert row is not None
    assert [row.current_stop] == kept


def add_words(state: DatabaseStateManager, worker: str) -> tuple[list[str], int]:
    """Words that one worker added to the positions, each told once it is stored; and how often it was refused."""
    stored, refused, draw = list[str](), 0, Random(worker)
    for number in range(WORDS):
        name, word = f"Long_{draw.randrange(POSITIONS)}", f"{worker}-{number}"
        row = state.get_position(name)
        assert row is not None
        try:
            state.save_position(replace(row, payload={"words": [*row.payload["words"], word]}))
            stored.append(f"{name} {word}")
        except StaleVersion:
            refused += 1
    return stored, refused


def work(url: str, worker: int, together: Barrier, told: "multiprocessing.Queue[Any]") -> None:
    """One process: signals that all processes log, and words of its own; the first one with ten threads."""
    with DatabaseStateManager(url) as state, ThreadPoolExecutor(10) as pool:
        together.wait(60)
        signals = sum(state.log_signal(f"signal-{number}", "PYRAMID") for number in range(200))
        names = [f"{worker}.{thread}" for thread in range(10 if worker == 0 else 1)]
        results = list(pool.map(add_words, [state] * len(names), names))
        told.put((signals, [word for stored, _ in results for word in stored], sum(refused for _, refused in results)))


def test_eight_processes_and_ten_threads_lose_no_update_and_accept_each_signal_once(database_url: str) -> None:
    with DatabaseStateManager(database_url) as state:
        for number in range(POSITIONS):
            state.save_position(replace(LONG, position_id=f"Long_{number}", payload={"words": []}))
    together, told = SPAWN.Barrier(8), SPAWN.Queue()
    workers = [SPAWN.Process(target=work, args=(database_url, worker, together, told)) for worker in range(8)]
    for worker in workers:
        worker.start()
    results = [told.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    assert sum(signals for signals, _, _ in results) == 200 == value(database_url, "SELECT count(*) FROM signal_log")
    accepted = sorted(word for _, words, _ in results for word in words)
    rows = query(database_url, "SELECT position_id, payload -> 'words', version FROM portfolio_positions")
    assert sorted(f"{name} {word}" for name, words, _ in rows for word in words) == accepted
    assert all(version == 1 + len(words) for _, words, version in rows)
    assert len(accepted) + sum(refused for _, _, refused in results) == 17 * WORDS
    assert len(accepted) < 17 * WORDS, "control: they did meet"


def test_one_process_leads_until_its_lease_ends(state: DatabaseStateManager, other: DatabaseStateManager) -> None:
    assert state.try_to_lead(60)
    assert not other.try_to_lead(60)
    assert state.try_to_lead(60)
    assert state.heartbeat({"pid": 1}, 60).is_leader
    assert not other.heartbeat().is_leader
    leader = other.get_leader()
    assert leader is not None
    assert leader.instance_id == "one"
    assert {one.instance_id for one in other.get_live_instances()} == {"one", "other"}
    assert state.resign()
    assert other.get_leader() is None
    assert other.try_to_lead(0.05)
    eventually(lambda: state.try_to_lead(60))
    assert not other.heartbeat().is_leader
    assert not other.resign()
