"""Running anything twice, in any order, over any overlapping range, changes nothing."""

import random
from datetime import date, timedelta

from apex_pipeline.pipeline import classify_strategies, normalize, reconcile_days
from tests.pipeline.conftest import (
    NORM_TABLES,
    OF_WINDOWS,
    RAW_TABLES,
    TODAY,
    Stage,
    World,
    business_rows,
    written_rows,
)
from tests.store.rows import query

SNAPSHOTS = ("positions_raw_futu", "balances_raw_futu")
KEPT_IN_PLACE = (
    *(name for name in RAW_TABLES if name.endswith("_futu") and name not in SNAPSHOTS),
    *(name for name in NORM_TABLES if name not in OF_WINDOWS),
)
"""Raw rows of IB and of snapshots are written again to move the date of their newest telling."""

LAST_DAYS = ("positions_raw_ib", "broker_positions", "broker_lots", "broker_balances")
"""What a statement tells of its last day only."""

MAY_BE_EMPTY = (
    "recon_breaks", "payload_drift", "provisional_raw_ib", "balances_raw_ib", "corporate_actions", "transfers",
    "query_gaps",
)  # fmt: skip


def ranges(first: date, last: date, seed: int) -> list[tuple[date, date]]:
    """Overlapping pieces that together reach over all days, in no particular order."""
    drawn = random.Random(seed)
    found: list[tuple[date, date]] = []
    start = first
    while start <= last:
        end = start + timedelta(days=drawn.randint(20, 150))
        found.append((max(first, start - timedelta(days=drawn.randint(0, 30))), min(end, last)))
        start = end + timedelta(days=1)
    drawn.shuffle(found)
    return found


def test_a_second_run_writes_no_row(loaded: World) -> None:
    rows, written = business_rows(loaded.db.url), written_rows(loaded.db.url, KEPT_IN_PLACE)
    loaded.run()
    loaded.run(loaded.ask(force=True))
    assert written_rows(loaded.db.url, KEPT_IN_PLACE) == written
    assert business_rows(loaded.db.url) == rows
    assert all(rows[table] for table in rows if table not in MAY_BE_EMPTY)


def test_a_row_that_is_written_again_would_be_noticed(loaded: World) -> None:
    rows, written = business_rows(loaded.db.url), written_rows(loaded.db.url)
    query(loaded.db.url, "UPDATE orders_norm SET qty = qty")
    assert business_rows(loaded.db.url) == rows
    assert written_rows(loaded.db.url) != written
    query(
        loaded.db.url,
        "UPDATE trades_norm SET price = price + 1 WHERE trade_uid = (SELECT min(trade_uid) FROM trades_norm)",
    )
    assert business_rows(loaded.db.url) != rows


def test_stages_over_shuffled_ranges_write_no_row(loaded: World) -> None:
    written = written_rows(loaded.db.url, NORM_TABLES)
    for first, last in ranges(loaded.scenario.start, TODAY, 5):
        for port in reversed(loaded.brokers):
            changed, rejected = normalize(loaded.db, port, first, last)
            assert {name: merged.changed for name, merged in changed.items() if merged.changed} == {}
            assert rejected == 0
        assert classify_strategies(loaded.db, first, last).changed == 0
        assert reconcile_days(loaded.db, first, last).breaks.changed == 0
    assert written_rows(loaded.db.url, NORM_TABLES) == written


def test_a_load_in_shuffled_overlapping_pieces_ends_where_one_load_does(
    stage: Stage, loaded: World, empty_clone: str
) -> None:
    pieces = stage.world(loaded.scenario, empty_clone)
    compared = [name for name in (*RAW_TABLES, *NORM_TABLES) if name not in LAST_DAYS]
    for number, (first, last) in enumerate(ranges(loaded.scenario.start, TODAY, 7)):
        ask = pieces.ask(first, last, force=number % 2 == 0)
        for port in pieces.brokers if number % 2 else reversed(pieces.brokers):
            pieces.load(ask, only=port)
        if number % 3:
            pieces.derive(first, last)
        assert number or business_rows(pieces.db.url, compared) != business_rows(loaded.db.url, compared)
    pieces.derive()
    assert business_rows(pieces.db.url, compared) == business_rows(loaded.db.url, compared)
    # What came before the deal that it belongs to waited there for a while.
    assert query(pieces.db.url, "SELECT reason FROM quarantine WHERE resolved_at IS NULL") == []


def test_final_days_are_not_asked_again_and_force_asks_them(loaded: World) -> None:
    again = [result.calls for result in loaded.load()]
    forced = [result.calls for result in loaded.load(loaded.ask(force=True))]
    assert all(0 < some < everything for some, everything in zip(again, forced, strict=True))
    last = TODAY - timedelta(days=120)
    assert [result.calls for result in loaded.load(loaded.ask(last=last))] == [0, 0]
    assert all(result.calls for result in loaded.load(loaded.ask(last=last, force=True)))
