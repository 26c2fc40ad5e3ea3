"""The Markdown about strategies shows what the tables hold, and a broker's text never becomes markup."""

from decimal import Decimal

from apex_pipeline.reports.strategies import markdown, strategy_tables
from apex_pipeline.reports.tables import ReportTable
from apex_pipeline.store.db import Database
from tests.store.rows import query


def test_a_table_is_a_section_with_its_rows_and_an_empty_one_says_why() -> None:
    full = ReportTable("t", "Types", [{"net_premium": Decimal("1.50"), "why": "two | pipes\nand <b>_x_</b>"}])
    empty = ReportTable("e", "Wheels", [], "no short put was assigned")
    assert markdown([full, empty]).splitlines() == [
        "## Types",
        "",
        "| net premium | why |",
        "| --- | --- |",
        "| 1.5 | two \\| pipes and \\<b>\\_x\\_\\</b> |",
        "",
        "## Wheels",
        "",
        "no short put was assigned",
    ]


def test_an_empty_database_has_every_section_too(db: Database) -> None:
    tables = strategy_tables(db)
    assert len(tables) == 5
    assert [table.name for table in tables if table.rows] == []


def test_a_card_says_unlimited_where_there_is_no_bound_and_nothing_where_it_is_not_known(db: Database) -> None:
    text = (
        "INSERT INTO strategies (strategy_uid, broker, account_id, underlying, strategy_type, name, action, method, "
        "confidence, trade_date, orders, units, legs, max_profit, profit_unlimited, loss_unlimited, break_evens, why) "
        "VALUES (%s, 'IB', 'U1', 'US.KO', 'SHORT_CALL', 'Short Call', 'OPEN', 'partition', 0.9, %s, 1, 1, "
        """'[{"side": "SELL", "qty": "1", "symbol": "US.KO C", "avg_price": null}]', """
        """200, NOT %s::boolean, %s, '["62"]', 'why')"""
    )
    for uid, day, unlimited in (("S_2", "2026-03-03", True), ("S_1", "2026-03-02", None)):
        query(db.url, text, uid, day, unlimited, unlimited)
    newest, older = strategy_tables(db)[1].rows
    assert (newest["max_profit"], newest["max_loss"], newest["break_evens"]) == ("200", "unlimited", "62")
    assert (older["max_loss"], older["legs"]) == ("", "SELL 1 US.KO C")


def test_no_table_is_longer_than_asked(db: Database) -> None:
    query(
        db.url,
        "INSERT INTO strategy_chains (chain_uid, broker, account_id, underlying, first_type, current_type, status, "
        "opened_on, rolls, adjustments, events, held, stock_held, stock_pnl, pieces, pieces_unknown) "
        "SELECT 'S_' || n, 'IB', 'U1', 'US.KO', 'SHORT_PUT', 'SHORT_PUT', 'OPEN', '2026-03-02', 1, 0, "
        """'[{"on": "2026-03-02", "action": "OPEN"}, {"on": "2026-03-03", "action": "ROLL"}]', '[]', 0, 0, 0, 0 """
        "FROM generate_series(1, 30) AS n",
    )
    assert len(strategy_tables(db, most=7)[2].rows) == 7
    assert len(strategy_tables(db, most=100)[2].rows) == 60
