"""The portfolio of an engine: what is closed is earned once, survives a restart, and is the same without a database."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.engine import PositionStatus
from apex_pipeline.errors import StaleVersion
from apex_pipeline.live import DatabaseStateManager, PortfolioStateManager

NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
BASE = {
    "position_id": "Long_1", "instrument": "BANK_NIFTY", "is_base_position": True, "entry_price": 52000, "lots": 2,
    "multiplier": 35, "entry_timestamp": NOON, "current_stop": 51650,
}  # fmt: skip
Begin = Callable[[], PortfolioStateManager]


@pytest.fixture(params=["with a database", "in memory"])
def portfolio(request: pytest.FixtureRequest) -> Iterator[PortfolioStateManager]:
    if request.param == "in memory":
        yield PortfolioStateManager(5_000_000)
        return
    with DatabaseStateManager(request.getfixturevalue("database_url")) as state:
        yield PortfolioStateManager(5_000_000, state)


def position(portfolio: PortfolioStateManager, name: str = "Long_1") -> Any:
    row = portfolio.get_position(name)
    assert row is not None
    return row


def test_what_a_position_realizes_is_added_to_the_closed_equity(portfolio: PortfolioStateManager) -> None:
    portfolio.add_position(BASE)
    assert portfolio.closed_equity == portfolio.initial_capital == 5_000_000
    assert portfolio.close_position("Long_1", 52500.5, NOON, "TRAILING_STOP") == 35035.0
    row = position(portfolio)
    assert (row.status, row.exit_price, row.exit_reason) == (PositionStatus.CLOSED, Decimal("52500.5"), "TRAILING_STOP")
    assert (row.realized_pnl, row.exit_timestamp) == (Decimal("35035.0"), NOON)
    assert portfolio.closed_equity == Decimal("5035035.0")
    assert portfolio.get_open_positions() == {}


def test_a_short_position_gains_when_the_price_falls(portfolio: PortfolioStateManager) -> None:
    portfolio.add_position({**BASE, "side": "SELL"})
    assert portfolio.close_position("Long_1", "51999.9") == pytest.approx(7.0)
    assert position(portfolio).realized_pnl == Decimal("7.0")


def test_what_is_open_is_valued_by_id_or_instrument(portfolio: PortfolioStateManager) -> None:
    portfolio.add_position(BASE)
    portfolio.add_position({**BASE, "position_id": "Long_2", "instrument": "GOLD", "entry_price": 71000})
    assert portfolio.update_unrealized_pnl({"BANK_NIFTY": 52010, "Long_2": 70990}) == {"Long_1": 700, "Long_2": -700}
    assert portfolio.update_unrealized_pnl("Long_2", 71000) == {"Long_2": 0}
    assert (portfolio.unrealized_pnl, portfolio.equity) == (700, 5_000_700)


def test_a_part_can_be_closed_and_the_rest_stays_open(portfolio: PortfolioStateManager) -> None:
    portfolio.add_position({**BASE, "lots": 3})
    assert portfolio.close_position("Long_1", 52010, lots=1) == 350
    row = position(portfolio)
    assert (row.status, row.lots, row.realized_pnl) == (PositionStatus.PARTIAL, 2, 350)
    with pytest.raises(ValueError, match="holds 2 lots: 3 of them cannot be closed"):
        portfolio.close_position("Long_1", 52010, lots=3)
    assert portfolio.close_position("Long_1", 51990) == -700
    assert position(portfolio).realized_pnl == -350
    assert portfolio.closed_equity == 5_000_000 - 350


def test_a_position_is_closed_once_and_a_refused_close_earns_nothing(portfolio: PortfolioStateManager) -> None:
    portfolio.add_position(BASE)
    portfolio.close_position("Long_1", 52010)
    earned = portfolio.closed_equity
    with pytest.raises(ValueError, match="Long_1 is closed already"):
        portfolio.close_position("Long_1", 52010)
    with pytest.raises(ValueError, match="there is no position 'Long_9'"):
        portfolio.close_position("Long_9", 52010)
    with pytest.raises(ValueError, match="exit_price must be a number"):
        portfolio.close_position("Long_1", "high")
    with pytest.raises(StaleVersion):
        portfolio.add_position(BASE)
    assert portfolio.closed_equity == earned


def test_a_change_of_one_column_leaves_the_others(portfolio: PortfolioStateManager) -> None:
    portfolio.add_position(BASE)
    portfolio.update_position("Long_1", current_stop=51800.5)
    portfolio.update_position("Long_1", rollover_status="pending")
    row = position(portfolio)
    assert (row.current_stop, row.rollover_status, row.entry_price) == (Decimal("51800.5"), "pending", 52000)
    with pytest.raises(ValueError, match="has no 'stop'"):
        portfolio.update_position("Long_1", stop=1)


def test_threads_that_close_different_positions_lose_no_equity(portfolio: PortfolioStateManager) -> None:
    names = [f"Long_{number}" for number in range(8)]
    for name in names:
        portfolio.add_position({**BASE, "position_id": name, "lots": 1, "multiplier": 1})
    threads = [threading.Thread(target=portfolio.close_position, args=(name, 52001)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert portfolio.closed_equity == 5_000_008
    assert portfolio.get_open_positions() == {}


def test_entry_pyramid_and_exit_go_on_after_a_restart_between_each(database_url: str) -> None:
    def restarted() -> tuple[DatabaseStateManager, PortfolioStateManager]:
        state = DatabaseStateManager(database_url, "engine")
        return state, PortfolioStateManager(5_000_000, state)

    state, portfolio = restarted()
    with state, state.transaction():
        assert state.log_signal("entry-1", "BASE_ENTRY", "BANK_NIFTY")
        portfolio.add_position(BASE)
        state.save_pyramiding_state("BANK_NIFTY", 52000, "Long_1")
    state, portfolio = restarted()
    with state, state.transaction():
        assert not state.log_signal("entry-1", "BASE_ENTRY", "BANK_NIFTY")
        known = state.get_pyramiding_state("BANK_NIFTY")
        assert known is not None
        assert (known.last_pyramid_price, known.base_position_id) == (52000, "Long_1")
        assert state.log_signal("pyramid-1", "PYRAMID", "BANK_NIFTY")
        portfolio.add_position({**BASE, "position_id": "Long_2", "is_base_position": False, "entry_price": 52400})
        state.save_pyramiding_state("BANK_NIFTY", 52400, known.base_position_id)
    state, portfolio = restarted()
    with state:
        assert sorted(portfolio.get_open_positions()) == ["Long_1", "Long_2"]
        assert portfolio.close_position("Long_1", 52600, NOON, "EXIT") == 42000
    state, portfolio = restarted()
    with state:
        assert portfolio.closed_equity == 5_042_000
        assert sorted(portfolio.get_open_positions()) == ["Long_2"]
        assert portfolio.close_position("Long_2", 52600, NOON, "EXIT") == 14000
    state, portfolio = restarted()
    with state:
        assert portfolio.closed_equity == 5_056_000
        assert PortfolioStateManager(1, state).initial_capital == 5_000_000


def test_what_was_closed_or_deleted_meanwhile_is_not_valued(
    portfolio: PortfolioStateManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Long_1", "Long_2"):
        portfolio.add_position(BASE | {"position_id": name})
    before = {**portfolio.get_open_positions(), "Long_0": replace(position(portfolio), position_id="Long_0")}
    portfolio.close_position("Long_1", 52010)
    monkeypatch.setattr(portfolio, "get_open_positions", lambda: before)  # as they were read a moment ago
    assert portfolio.update_unrealized_pnl({"BANK_NIFTY": 52100}) == {"Long_2": 7000}
    closed = position(portfolio)
    assert (closed.status, closed.unrealized_pnl, closed.version) == (PositionStatus.CLOSED, None, 2)


def test_a_position_that_cannot_be_valued_does_not_stop_the_others(portfolio: PortfolioStateManager) -> None:
    portfolio.add_position({"position_id": "a", "instrument": "BANK_NIFTY"})
    portfolio.add_position(BASE)
    assert portfolio.update_unrealized_pnl({"BANK_NIFTY": 52100}) == {"Long_1": 7000}
    assert portfolio.update_unrealized_pnl("a", 52100) == {}
    with pytest.raises(ValueError, match="no entry price"):
        portfolio.close_position("a", 52100)
