"""Trades to positions through the real matching: the parts in any order end where the whole does."""

import random
from collections.abc import Iterator
from decimal import Decimal

import pytest

from apex_pipeline.domain.ledger import PositionMovement, RealizedPnl, order_of
from apex_pipeline.store.db import Database
from tests.conftest import clone
from tests.store.matched import matched, put, random_trades, rows_of
from tests.store.position_books import TABLES
from tests.store.rows import query, tables_hash, value


@pytest.fixture
def other_db(server_url: str, template: str) -> Iterator[Database]:
    """A second migrated database, to compare with."""
    for url in clone(server_url, template):
        with Database(url) as opened:
            yield opened


@pytest.mark.parametrize("seed", [1, 2])
def test_days_matched_in_any_order_give_the_positions_of_all_at_once(
    db: Database, other_db: Database, seed: int
) -> None:
    trades, fees = random_trades(400, seed)
    days = sorted({trade.trade_date for trade in trades})
    random.Random(seed).shuffle(days)
    for day in days:
        own = [trade for trade in trades if trade.trade_date == day]
        uids = {trade.trade_uid for trade in own}
        put(db, own, [fee for fee in fees if fee.trade_uid in uids])
        matched(db)
    put(other_db, trades, fees)
    matched(other_db)
    assert value(db.url, "SELECT count(*) FROM round_trips") > 20
    assert tables_hash(db.url, TABLES) == tables_hash(other_db.url, TABLES)
    assert all(not merged.changed for merged in matched(db).values())


def test_positions_events_and_round_trips_add_up_to_the_movements(db: Database) -> None:
    put(db, *random_trades(600, 3))
    matched(db)
    moved: dict[tuple[str, str], Decimal] = {}
    for row in sorted(rows_of(db.url, "position_movements", PositionMovement), key=order_of):
        key = row.account_id, row.instrument_id
        moved[key] = moved.get(key, Decimal(0)) + row.qty
    last = query(
        db.url,
        "SELECT account_id, instrument_id, qty, cost_basis FROM positions_daily p WHERE business_date = "
        "(SELECT max(business_date) FROM position_movements m WHERE m.account_id = p.account_id)",
    )
    assert {row[:2]: row[2] for row in last} == {key: qty for key, qty in moved.items() if qty}
    lots = query(
        db.url,
        "SELECT account_id, instrument_id, sum(remaining_cost) FROM lots WHERE closed_on IS NULL GROUP BY 1, 2",
    )
    assert {row[:2]: row[3] for row in last} == {row[:2]: row[2] for row in lots}
    gained = sum(row.realized_pnl or 0 for row in rows_of(db.url, "realized_pnl", RealizedPnl))
    assert value(db.url, "SELECT sum(realized_pnl) FROM position_events") == gained
    assert value(db.url, "SELECT sum(realized_pnl) FROM round_trips") == gained
    assert value(db.url, "SELECT sum(fees) FROM round_trips") == value(
        db.url, "SELECT sum(fees) FROM position_movements"
    )
