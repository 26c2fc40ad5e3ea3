"""What a state manager remembers is what the database holds: nothing undone, nothing changed, nothing of a caller's."""

import os
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql

from apex_pipeline.errors import StaleVersion
from apex_pipeline.live.state import DatabaseStateManager
from apex_pipeline.store.db import Database
from tests.live.states import LONG, eventually
from tests.store.rows import query


@pytest.fixture
def shared(db: Database) -> Iterator[DatabaseStateManager]:
    """A manager on a database that its program uses otherwise too."""
    with DatabaseStateManager(db, "shared") as manager:
        yield manager


def test_what_a_part_of_a_transaction_undid_is_not_remembered(state: DatabaseStateManager) -> None:
    saved = state.save_position(LONG)
    with state.transaction():
        with suppress(RuntimeError), state.transaction():
            state.save_position(replace(saved, current_stop=Decimal(99)))
            raise RuntimeError
        state.save_position({"position_id": "Long_2", "instrument": "GOLD"})
    assert state.get_position("Long_1") == saved
    assert state.get_position("Long_2") == state.get_position("Long_2", fresh=True)


@pytest.mark.parametrize("outer", ["transaction", "rehearsal"])
def test_what_the_database_of_the_program_rolls_back_is_not_remembered(
    db: Database, shared: DatabaseStateManager, outer: str
) -> None:
    saved = shared.save_position(LONG)
    with suppress(RuntimeError), db.transaction() if outer == "transaction" else db.rehearsal():
        shared.save_position(replace(saved, current_stop=Decimal(77)))
        with shared.transaction():
            shared.save_position({"position_id": "Long_2", "instrument": "GOLD"})
        inside, new = shared.get_position("Long_1"), shared.get_position("Long_2")
        assert inside is not None
        assert inside.current_stop == 77
        assert new is not None
        raise RuntimeError
    assert shared.get_position("Long_1") == saved
    assert shared.get_position("Long_2") is None


def test_what_the_database_of_the_program_commits_is_known_at_once(db: Database, shared: DatabaseStateManager) -> None:
    saved = shared.save_position(LONG)
    with db.transaction():
        changed = shared.save_position(replace(saved, current_stop=Decimal(77)))
        db.execute("SELECT 1")
    assert shared.get_position("Long_1") == changed
    hits = shared.get_cache_stats()["hits"]
    assert shared.get_position("Long_1") == changed
    assert shared.get_cache_stats()["hits"] == hits + 1


def test_a_row_that_was_changed_by_its_reference_or_by_hand_is_not_remembered_any_longer(
    state: DatabaseStateManager, other: DatabaseStateManager, database_url: str
) -> None:
    state.save_position(LONG)
    other.save_pyramiding_state("BANK_NIFTY", 52000, "Long_1")
    assert state.get_pyramiding_state("BANK_NIFTY") == other.get_pyramiding_state("BANK_NIFTY")
    query(database_url, "DELETE FROM portfolio_positions")

    def is_emptied(manager: DatabaseStateManager) -> bool:
        row = manager.get_pyramiding_state("BANK_NIFTY")
        return row is not None and row.base_position_id is None

    for one in (state, other):
        eventually(lambda one=one: is_emptied(one))
    row = state.get_pyramiding_state("BANK_NIFTY")
    assert row is not None
    assert state.save_pyramiding_state(replace(row, last_pyramid_price=Decimal(52100))).version == 3
    state.save_position(LONG)
    query(database_url, "UPDATE portfolio_positions SET current_stop = 7")
    eventually(lambda: (row := state.get_position("Long_1")) is not None and row.current_stop == 7)


def test_what_this_process_deleted_is_gone_at_once(state: DatabaseStateManager, database_url: str) -> None:
    for table in ("portfolio_positions", "pyramiding_state"):  # nothing is heard
        query(database_url, sql.SQL("ALTER TABLE {} DISABLE TRIGGER tell_changed").format(sql.Identifier(table)))
    state.save_position(LONG)
    state.save_pyramiding_state("BANK_NIFTY", 52000, "Long_1")
    with suppress(RuntimeError), state.transaction():
        assert state.delete_position("Long_1")
        raise RuntimeError
    assert state.get_position("Long_1") is not None
    assert state.delete_position("Long_1")
    assert state.get_position("Long_1") is None
    row = state.get_pyramiding_state("BANK_NIFTY")
    assert row is not None
    assert row.base_position_id is None
    assert not state.delete_position("Long_1")


def test_pyramiding_told_in_words_replaces_what_is_stored_whoever_writes_meanwhile(
    state: DatabaseStateManager, other: DatabaseStateManager
) -> None:
    def tell(manager: DatabaseStateManager) -> None:
        for price in range(30):
            manager.save_pyramiding_state("GOLD", price)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(tell, [state, other, state, other]))
    stored = state.get_pyramiding_state("GOLD", fresh=True)
    assert stored is not None
    assert stored.version == 120


@pytest.mark.parametrize("payload", [{"atr": Decimal("350.25")}, {}])
def test_what_a_caller_does_to_what_was_saved_is_not_remembered(
    state: DatabaseStateManager, payload: dict[str, Any]
) -> None:
    saved = state.save_position(replace(LONG, payload=payload))
    for row in (saved, state.get_position("Long_1")):
        assert row is not None
        row.payload["atr"] = "changed"  # pyright: ignore[reportIndexIssue]
    again = state.get_position("Long_1")
    assert again is not None
    assert again.payload == payload


def test_a_mapping_with_a_version_changes_only_its_columns(state: DatabaseStateManager) -> None:
    saved = state.save_position(LONG)
    raised = state.save_position({"position_id": "Long_1", "version": 1, "current_stop": "51900"})
    assert replace(raised, version=1, updated_at=saved.updated_at) == replace(saved, current_stop=Decimal(51900))
    with pytest.raises(StaleVersion, match="Long_1 has version 2 by now, version 1 was not stored"):
        state.save_position({"position_id": "Long_1", "version": 1, "current_stop": 1})
    with pytest.raises(StaleVersion, match="Long_2 is gone, version 1 was not stored"):
        state.save_position({"position_id": "Long_2", "version": 1, "current_stop": 1})
    with pytest.raises(ValueError, match="which row of portfolio_positions is to change"):
        state.save_position({"version": 1, "current_stop": 1})
    state.begin_portfolio(100)
    assert state.save_portfolio_state({"id": 1, "version": 1, "closed_equity": 120}).initial_capital == 100
    state.save_pyramiding_state("BANK_NIFTY", 52000, "Long_1")
    moved = state.save_pyramiding_state({"instrument": "BANK_NIFTY", "version": 1, "last_pyramid_price": 52100})
    assert moved.base_position_id == "Long_1"


def test_capital_that_was_earned_while_everything_was_forgotten_is_read_again(
    state: DatabaseStateManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.begin_portfolio(100)
    remembered = state._remembered  # pyright: ignore[reportPrivateUsage]
    equity = state._equity  # pyright: ignore[reportPrivateUsage]
    earn = equity.earn

    def earned(amount: Decimal) -> object:
        stored = earn(amount)
        remembered.forget()  # the connection that listens was lost: others may have earned more, unheard
        return stored

    monkeypatch.setattr(equity, "earn", earned)
    state.earn(Decimal(20))
    assert remembered.get(("portfolio_state", 1)) is None


def test_a_foreign_notification_is_ignored_and_a_listener_ends_once(
    state: DatabaseStateManager, other: DatabaseStateManager, database_url: str
) -> None:
    saved = state.save_position(LONG)
    for payload in ("", "hello", "portfolio_state 1 x", "portfolio_positions one Long_1"):
        query(database_url, "SELECT pg_notify('apex_state', %s)", payload)
    other.save_position(replace(saved, current_stop=Decimal(7)))
    eventually(lambda: (row := state.get_position("Long_1")) is not None and row.current_stop == 7)
    assert state.get_cache_stats()["is_listening"]
    state.close()
    state.close()


def test_what_a_listener_does_not_understand_ends_it_for_a_moment_only(
    state: DatabaseStateManager, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    remembered = state._remembered  # pyright: ignore[reportPrivateUsage]
    raised = threading.Event()

    def fail(*_: object) -> None:
        raised.set()
        raise RuntimeError("a defect")

    state.save_position(LONG)
    with monkeypatch.context() as patched:
        patched.setattr(type(remembered), "changed", fail)
        query(database_url, "UPDATE portfolio_positions SET current_stop = 7")
        assert raised.wait(10)
    eventually(lambda: state.get_cache_stats()["is_listening"])
    eventually(lambda: (row := state.get_position("Long_1")) is not None and row.current_stop == 7)


def test_a_process_with_many_open_files_hears_too(database_url: str, other: DatabaseStateManager) -> None:
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(least, 3000), most))
    try:
        with ExitStack() as stack:
            for _ in range(1100):
                stack.enter_context(Path(os.devnull).open("rb"))
            state = stack.enter_context(DatabaseStateManager(database_url))
            assert state.get_cache_stats()["is_listening"]
            saved = state.save_position(LONG)
            other.save_position(replace(saved, current_stop=Decimal(7)))
            eventually(lambda: (row := state.get_position("Long_1")) is not None and row.current_stop == 7)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (least, most))
