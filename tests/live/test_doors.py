"""What an engine meets at the doors: errors of this program; it may tell numbers of numpy, and instants with a zone."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from apex_pipeline.domain.engine_input import number
from apex_pipeline.domain.results import Backtest, RiskLevel, RiskSignal
from apex_pipeline.errors import SchemaOutdated, StorageError
from apex_pipeline.live import (
    BacktestRepository,
    Database,
    DatabaseStateManager,
    PortfolioStateManager,
    PositionRepository,
    PositionSnapshotRepository,
    RiskSignalRepository,
    SnapshotService,
    Store,
    TradeSignalRepository,
    WarmStartService,
)
from tests.live.states import LONG
from tests.store.rows import query

NAIVE = datetime(2026, 3, 9, 12)  # noqa: DTZ001 - what the tests are about
HELD = {("FUTU", "1"): [{"symbol": "US.A", "qty": 1}]}
BROKERS = [{"name": "FUTU", "account_id": "1"}]


def test_a_database_without_migrations_is_told_as_such(empty_url: str) -> None:
    with Database(empty_url) as empty, DatabaseStateManager(empty) as state:
        with pytest.raises(SchemaOutdated, match=r"portfolio_positions.*run `apex migrate`"):
            state.get_position("Long_1")
        with pytest.raises(SchemaOutdated, match="apex migrate"):
            SnapshotService(empty, None, lambda: HELD).capture_all_now()
        result = WarmStartService(empty).warm_start(BROKERS)
        assert not result.success
        assert "apex migrate" in (result.error or "")
        with pytest.raises(SchemaOutdated, match="apex migrate"):
            WarmStartService(empty).get_snapshot_status()


def test_a_warm_start_within_a_transaction_is_refused_with_its_reason(db: Database) -> None:
    with db.transaction() as tx:
        tx.execute("SELECT 1")
        result = WarmStartService(db).warm_start(BROKERS)
        assert "not within an open transaction" in (result.error or "")
        assert tx.fetchval("SELECT 1") == 1


def test_whatever_the_database_says_is_an_error_of_this_program(db: Database, database_url: str) -> None:
    with Database(database_url, read_only=True) as readable, DatabaseStateManager(readable, "reader") as state:
        for refused in (
            lambda: state.save_position(LONG),
            lambda: state.begin_portfolio(1),
            lambda: state.log_signal("f1", "EXIT"),
            state.heartbeat,
            lambda: state.save_pyramiding_state("GOLD", 1),
            lambda: state.delete_position("Long_1"),
            lambda: SnapshotService(readable, None, lambda: HELD).capture_all_now(),
            lambda: SnapshotService(readable).cleanup(),
            lambda: WarmStartService(readable).clear_all_snapshots(),
        ):
            with pytest.raises(StorageError, match="read-only"):
                refused()
    query(database_url, "DROP FUNCTION cleanup_signal_log")
    with DatabaseStateManager(db) as state, pytest.raises(StorageError, match="cleanup_signal_log"):
        state.cleanup_signals()


@pytest.mark.parametrize(
    ("told", "meant"),
    [(np.float64(52000.1), "52000.1"), (np.float32(0.1), "0.1"), (np.int64(7), "7"), (np.array(2.5), "2.5"),
     (52000.1, "52000.1"), (" 7 ", "7")],
)  # fmt: skip
def test_numbers_of_numpy_are_taken_as_the_shortest_text_that_means_them(told: Any, meant: str) -> None:
    assert str(number("price", told)) == meant


@pytest.mark.parametrize("told", [np.bool_(1), np.float64("nan"), np.float64("inf"), None, [1], (0, (1,), 0)])
def test_what_is_no_number_is_refused(told: Any) -> None:
    with pytest.raises(ValueError, match="price must be a number"):
        number("price", told)


def test_an_engine_that_counts_with_numpy_stores_what_it_counted(db: Database) -> None:
    portfolio = PortfolioStateManager(np.float64(100))
    portfolio.add_position({"position_id": "p", "instrument": "X", "entry_price": np.float64(1.1), "lots": np.int64(2)})
    assert portfolio.update_unrealized_pnl("p", np.float64(2.5)) == {"p": Decimal("2.8")}
    metrics: dict[str, Any] = {"a": np.float64(1.25), "n": np.int64(3), "each": np.array([1.5, 2.5])}
    own = Backtest("s", date(2026, 1, 1), date(2026, 1, 2), sharpe=np.float64(1.25), metrics=metrics)  # pyright: ignore[reportArgumentType]
    stored = BacktestRepository(db).insert(own)
    assert stored is not None
    assert stored.sharpe == Decimal("1.25")
    assert stored.metrics == {"a": Decimal("1.25"), "n": 3, "each": [Decimal("1.5"), Decimal("2.5")]}
    (many,) = db.fetch("SELECT * FROM backtests WHERE sharpe = %s AND %s = 3", np.float64(1.25), np.int64(3))
    assert many["backtest_uid"] == stored.backtest_uid


NAIVELY: list[Callable[[Database], object]] = [
    lambda db: TradeSignalRepository(db).mark_executed("a", NAIVE),
    lambda db: RiskSignalRepository(db).resolve("a", NAIVE),
    lambda db: Store(db).get_snapshot_at("FUTU", "1", NAIVE),
    lambda db: PositionRepository(db).close_position("a", closed_at=NAIVE),
    lambda db: PositionSnapshotRepository(db).get_by_time_range("FUTU", "1", NAIVE),
    lambda db: PositionSnapshotRepository(db).find_where(captured_at=[NAIVE, datetime.now(UTC)]),
    lambda db: db.executemany("SELECT %s", [(NAIVE,)]),
]


@pytest.mark.parametrize("tell", NAIVELY)
def test_an_instant_without_a_zone_is_refused_wherever_it_is_told(
    db: Database, tell: Callable[[Database], object]
) -> None:
    query(
        db.url,
        "INSERT INTO positions (position_id, broker, account_id, symbol, quantity, status, synced_at, source) "
        "VALUES ('a', 'FUTU', '1', 'US.A', 1, 'OPEN', now(), 'FUTU')",
    )
    RiskSignalRepository(db).insert(RiskSignal("T", RiskLevel.WARNING, "m", None, None, "s", signal_uid="a"))
    with pytest.raises(ValueError, match="zone"):
        tell(db)
