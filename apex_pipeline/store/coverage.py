"""How much is there: rows per day and table, coverage per account, what waits in quarantine."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from apex_pipeline.domain.models import Broker
from apex_pipeline.store.db import Database

DATE_COLUMNS = {
    "orders_norm": "trade_date",
    "trades_norm": "trade_date",
    "fees_norm": "charged_on",
    "order_strategy_map": "trade_date",
    "cash_movements": "booked_on",
}
"""The column that decides a row's partition; raw tables and breaks call it business_date."""

WITHOUT_DATE = {"instruments": "instruments_by_day", "fee_allocations": "fee_allocations_by_day"}
"""Tables without a date of their own, and the statement that counts their rows by day."""


def rows_by_day(db: Database, table: str, first: date, last: date) -> dict[date, int]:
    """Rows of a table per day of the range; instruments count on the days they traded, allocations on their fee's."""
    if table in WITHOUT_DATE:
        rows = db.fetch(WITHOUT_DATE[table], from_date=first, to_date=last)
        return {row["day"]: row["rows"] for row in rows}
    with db.transaction() as tx:
        return tx.count_by_day(table, DATE_COLUMNS.get(table, "business_date"), first, last)


def sync_status(db: Database) -> list[dict[str, Any]]:
    """The watermark of every account and data type."""
    return db.fetch("sync_status")


def first_missing_day(db: Database, covering: Mapping[Broker, Sequence[str]], last: date, lookback_days: int) -> date:
    """Where a load without a range begins: the last day that every account has, else the whole look-back.

    `covering`: the data types of each broker that must cover a day.
    """
    whole = last - timedelta(days=lookback_days - 1)
    starts: list[date] = []
    for broker, data_types in covering.items():
        row = db.fetchrow("covered_until", broker=broker, data_types=list(data_types))
        starts.append(row["until"] if row and row["until"] else whole)
    return max(whole, min(starts, default=whole))
