"""How much is there: rows per day and table, coverage per account, what waits in quarantine."""

from collections.abc import Mapping
from datetime import date
from typing import Any, LiteralString

from apex_pipeline.store.db import Database

DATE_COLUMNS = {
    "orders_norm": "trade_date",
    "trades_norm": "trade_date",
    "fees_norm": "charged_on",
    "order_strategy_map": "trade_date",
    "cash_movements": "booked_on",
    "lots": "started_on",
    "realized_pnl": "closed_on",
    "round_trips": "entry_date",
    "settlement_tracking": "trade_date",
    "cash_ledger": "booked_on",
    "cash_account_state": "as_of",
    "day_trades": "trade_date",
    "trade_frequency_tracking": "period_start",
    "wash_sale_flags": "closed_on",
    "strategies": "trade_date",
    "strategy_chains": "opened_on",
}
"""The column that decides a row's partition; raw tables and breaks call it business_date."""

WITHOUT_DATE: Mapping[str, LiteralString] = {
    "instruments": "instruments_by_day",
    "fee_allocations": "fee_allocations_by_day",
    "strategy_positions": "strategy_positions_by_day",
    "ohlcv": "ohlcv_by_day",
    "trade_signals": "trade_signals_by_day",
    "risk_signals": "risk_signals_by_day",
    "position_snapshots": "position_snapshots_by_day",
    "account_snapshots": "account_snapshots_by_day",
}
"""Tables without a date of their own, and the statement that counts their rows by day."""


def rows_by_day(db: Database, table: str, first: date, last: date) -> dict[date, int]:
    """Rows of a table per day of the range; others count on a day that they belong to.

    Instruments: on the days they traded; allocations: on their fee's; strategies' positions: when last traded; bars: on
    the exchange's date; signals and snapshots: on the day (UTC) of their instant.
    """
    if table in WITHOUT_DATE:
        rows = db.fetch(WITHOUT_DATE[table], from_date=first, to_date=last)
        return {row["day"]: row["rows"] for row in rows}
    with db.transaction() as tx:
        return tx.count_by_day(table, DATE_COLUMNS.get(table, "business_date"), first, last)


def sync_status(db: Database) -> list[dict[str, Any]]:
    """The watermark of every account and data type."""
    return db.fetch("sync_status")
