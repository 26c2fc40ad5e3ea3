"""Every question goes by an index: no table is read whole, and little is read that is not in the answer."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apex_pipeline.live import (
    AccountSnapshotRepository,
    BacktestRepository,
    Database,
    FutuDealRepository,
    FutuFeeRepository,
    FutuOrderRepository,
    IbCommissionRepository,
    IbExecutionRepository,
    LlmAnalysisRepository,
    PositionRepository,
    PositionSnapshotRepository,
    ResearchRepository,
    RiskSignalRepository,
    RiskSnapshotRepository,
    Store,
    SyncStateRepository,
    SystemEventRepository,
    TradeRepository,
    TradeSignalRepository,
)
from apex_pipeline.store import db as databases
from apex_pipeline.store.transaction import Transaction
from tests.conftest import clone, made_once
from tests.store.rows import connected

ROWS = 12_000
FEW = 2000
"""Rows that a question may read and not tell."""

FILL = Path(__file__).with_name("many_rows.sql").read_text("utf-8")
START = datetime(2026, 1, 1, tzinfo=UTC)
MIDDLE = START + timedelta(minutes=ROWS // 2)
HOUR_LATER = MIDDLE + timedelta(hours=1)
DAY = date(2026, 1, 5)

QUESTIONS: dict[str, Callable[[Database], object]] = {
    "order by id": lambda db: FutuOrderRepository(db).find_by_order_id("777"),
    "orders of an account": lambda db: FutuOrderRepository(db).find_by_account("1", limit=20),
    "orders of a market": lambda db: FutuOrderRepository(db).find_by_account("1", "US", limit=20),
    "orders of days": lambda db: FutuOrderRepository(db).find_by_date_range(DAY, DAY, limit=20),
    "filled orders": lambda db: FutuOrderRepository(db).find_filled_orders("1", DAY, limit=20),
    "deal by id": lambda db: FutuDealRepository(db).find_by_deal_id("777"),
    "deals of an order": lambda db: FutuDealRepository(db).find_by_order_id("777"),
    "volume of a day": lambda db: FutuDealRepository(db).get_total_volume_by_code(start=DAY, end=DAY),
    "fees of an order": lambda db: FutuFeeRepository(db).find_by_order_id("777"),
    "fees of a day": lambda db: FutuFeeRepository(db).get_total_fees("1", DAY, DAY),
    "execution by id": lambda db: IbExecutionRepository(db).find_by_exec_id("e.777.01"),
    "executions by permanent id": lambda db: IbExecutionRepository(db).find_by_perm_id("777"),
    "options of an underlying": lambda db: IbExecutionRepository(db).find_options_by_underlying("US.U7", limit=20),
    "commissions of an execution": lambda db: IbCommissionRepository(db).find_by_exec_id("e.777.01"),
    "commissions of a day": lambda db: IbCommissionRepository(db).get_total_commissions("2", DAY, DAY),
    "raw payload": lambda db: Store(db).query_raw_payload("ib", "provisional", "777"),
    "boundaries": lambda db: Store(db).get_data_boundaries(),
    "watermark": lambda db: SyncStateRepository(db).needs_sync("FUTU", "1", "futu_orders"),
    "newest positions": lambda db: PositionSnapshotRepository(db).get_latest("FUTU", "1"),
    "positions at a moment": lambda db: PositionSnapshotRepository(db).get_at("FUTU", "1", MIDDLE),
    "positions of an hour": lambda db: PositionSnapshotRepository(db).get_by_time_range(
        "FUTU", "1", MIDDLE, HOUR_LATER
    ),
    "newest account": lambda db: AccountSnapshotRepository(db).get_latest("FUTU", "1"),
    "newest risk": lambda db: RiskSnapshotRepository(db).get_latest(),
    "risk at a moment": lambda db: RiskSnapshotRepository(db).get_at(MIDDLE),
    "series of an hour": lambda db: RiskSnapshotRepository(db).get_time_series("gross", MIDDLE, HOUR_LATER),
    "summary of a day": lambda db: RiskSnapshotRepository(db).get_daily_summary(DAY),
    "risk by type": lambda db: RiskSignalRepository(db).find_by_type("T7", 20),
    "breaches": lambda db: RiskSignalRepository(db).find_breaches(limit=20),
    "breaches since": lambda db: RiskSignalRepository(db).find_breaches(MIDDLE, limit=20),
    "counts of an hour": lambda db: RiskSignalRepository(db).get_signal_counts_by_type(
        START + timedelta(minutes=ROWS - 60)
    ),
    "resolve": lambda db: RiskSignalRepository(db).resolve("7"),
    "signals of a source": lambda db: TradeSignalRepository(db).find_by_source("S7", 20),
    "pending signals": lambda db: TradeSignalRepository(db).find_pending(20),
    "mark executed": lambda db: TradeSignalRepository(db).mark_executed("7"),
    "best backtests": lambda db: BacktestRepository(db).find_top_performers(limit=20),
    "best returns": lambda db: BacktestRepository(db).find_top_performers("total_return", 20),
    "smallest drawdowns": lambda db: BacktestRepository(db).find_top_performers("max_drawdown", 20),
    "backtests of a strategy": lambda db: BacktestRepository(db).find_by_strategy("S7", 20),
    "summary of a strategy": lambda db: BacktestRepository(db).get_strategy_summary("S7"),
    "newest events": lambda db: SystemEventRepository(db).get_recent_events(limit=20),
    "newest errors": lambda db: SystemEventRepository(db).get_recent_events("ERROR", 20),
    "newest questions": lambda db: LlmAnalysisRepository(db).get_recent(limit=20),
    "questions to a model": lambda db: LlmAnalysisRepository(db).get_recent("M7", 20),
    "cost of an hour": lambda db: LlmAnalysisRepository(db).get_total_cost(START + timedelta(minutes=ROWS - 60)),
    "research of a symbol": lambda db: ResearchRepository(db).find_by_symbol("US.U7", limit=20),
    "research of a symbol and kind": lambda db: ResearchRepository(db).find_by_symbol("US.U7", "TWEET", 20),
    "research of a kind": lambda db: ResearchRepository(db).find_by_kind("TWEET", 20),
    "research of an hour": lambda db: ResearchRepository(db).get_by_time_range(MIDDLE, HOUR_LATER),
    "newest round trips": lambda db: TradeRepository(db).get_recent(20),
    "round trips of a symbol": lambda db: TradeRepository(db).get_by_symbol("US.U7", 20),
    "round trip by id": lambda db: TradeRepository(db).get_by_id("777"),
    "open positions of an account": lambda db: PositionRepository(db).get_open_positions("7"),
    "position of a symbol": lambda db: PositionRepository(db).get_position("US.U7"),
}


@pytest.fixture(scope="module")
def filled(server_url: str, template: str) -> Iterator[Database]:
    def fill(url: str) -> None:
        with connected(url) as connection, connection.cursor() as cursor:
            cursor.execute(FILL.replace("%(rows)s", str(ROWS)))
            cursor.execute("VACUUM ANALYZE")

    name = made_once(server_url, "apex_test_template_many_rows", fill, template)
    for url in clone(server_url, name):
        with Database(url) as db:
            yield db


def plans_of(db: Database, ask: Callable[[Database], object], patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """How the server carries out each statement of a question once a table is too large to be read whole."""
    plans: list[dict[str, Any]] = []

    class Explained(Transaction):
        def _run(self, query: Any, args: Any, params: Any) -> None:
            super()._run(query, args, params)
            cursor, text = self._cursor, bytes(self._cursor.query or b"").decode()
            if text.lstrip().startswith(("SELECT", "WITH", "--", "UPDATE")):
                cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL random_page_cost = 1.1")
                cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + text)
                plans.append((cursor.fetchone() or ({},))[0][0])
                super()._run(query, args, params)

    with patch.context() as patched:
        patched.setattr(databases, "Transaction", Explained)
        ask(db)
    return plans


def wasted(plan: dict[str, Any]) -> int:
    """Rows that were read and not used, by all steps of a plan; of a table that is read whole, all of them."""
    own = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    read = plan["Actual Rows"] if plan["Node Type"] == "Seq Scan" else 0
    return int((own + read) * plan["Actual Loops"]) + sum(wasted(part) for part in plan.get("Plans", ()))


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_reads_little_more_than_its_answer(
    filled: Database, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = plans_of(filled, QUESTIONS[question], monkeypatch)
    assert plans
    for plan in plans:
        assert wasted(plan["Plan"]) < FEW, plan


def test_a_question_without_an_index_reads_the_table(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    (plan,) = plans_of(filled, lambda db: TradeSignalRepository(db).find_where(side="SELL", limit=20), monkeypatch)
    assert wasted(plan["Plan"]) >= ROWS
