"""Matching in the database: both engines agree, a restart equals a new beginning, and only what changed is written."""

import random
from dataclasses import replace
from datetime import UTC, datetime, time
from decimal import Decimal

import pytest

from apex_pipeline.domain.ledger import Lot, RealizedPnl
from apex_pipeline.domain.models import AssetClass, Trade, TradeKind
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import DIRTY_DAYS, TRADES, as_row
from apex_pipeline.store.transaction import Merged
from tests.store.matched import (
    ACCOUNT,
    START,
    by_reference,
    contents,
    day,
    fee,
    mark,
    matched,
    put,
    random_trades,
    rows_of,
    stored,
    trade,
    written_at,
)
from tests.store.rows import query, value


@pytest.mark.parametrize("seed", range(3))
def test_both_engines_give_the_same_rows(db: Database, seed: int) -> None:
    put(db, *random_trades(1_500, seed))
    matched(db)
    assert stored(db) == by_reference(db)
    assert len(stored(db)[2]) > 700


def test_a_difference_of_the_engines_is_noticed(db: Database) -> None:
    put(db, *random_trades(50, 1))
    matched(db)
    query(db.url, "UPDATE lots SET remaining_cost = remaining_cost + 0.0000000001 WHERE remaining_cost <> 0")
    assert stored(db) != by_reference(db)


def test_days_in_any_order_end_in_the_same_tables_as_all_at_once(db: Database) -> None:
    trades, fees = random_trades(600, 5, days=12)
    put(db, trades, fees)
    matched(db)
    whole = contents(db.url)
    query(db.url, "TRUNCATE trades_norm, fees_norm, position_movements, lots, realized_pnl")
    days = sorted({one.trade_date for one in trades})
    random.Random(3).shuffle(days)
    for on in days:
        put(db, [one for one in trades if one.trade_date == on], [one for one in fees if one.charged_on == on])
        matched(db)
    assert contents(db.url) == whole


def test_days_in_any_order_end_the_same_where_some_only_close(db: Database) -> None:
    trades, fees = random_trades(400, 6, days=8)
    trades = [replace(one, position_effect="CLOSE") if number % 11 == 0 else one for number, one in enumerate(trades)]
    put(db, trades, fees)
    matched(db)
    whole = contents(db.url)
    assert stored(db) == by_reference(db)
    assert any(row.lot_uid is None for row in realized(db))
    query(db.url, "TRUNCATE trades_norm, fees_norm, position_movements, lots, realized_pnl")
    days = sorted({one.trade_date for one in trades})
    random.Random(4).shuffle(days)
    for on in days:
        put(db, [one for one in trades if one.trade_date == on], [one for one in fees if one.charged_on == on])
        matched(db)
    assert contents(db.url) == whole


def test_a_day_that_is_corrected_and_then_corrected_back_is_as_it_was(db: Database) -> None:
    trades, fees = random_trades(400, 9)
    put(db, trades, fees)
    matched(db)
    before = contents(db.url)
    some = trades[100:110]
    put(db, [replace(one, price=one.price + 1, qty=one.qty * 2) for one in some])
    matched(db)
    assert contents(db.url)["lots"] != before["lots"]
    assert stored(db) == by_reference(db)
    put(db, some)
    matched(db)
    assert contents(db.url) == before


def test_a_trade_that_is_gone_leaves_nothing_behind(db: Database) -> None:
    trades, fees = random_trades(300, 11)
    put(db, trades[:150] + trades[151:], fees)
    matched(db)
    before = contents(db.url)
    put(db, [trades[150]])
    matched(db)
    assert contents(db.url) != before
    put(db, [replace(trades[150], effective=False)])
    matched(db)
    assert contents(db.url) == before


def test_a_trade_that_moves_to_another_day_and_instrument_is_matched_there(db: Database) -> None:
    trades, fees = random_trades(300, 13)
    put(db, trades, fees)
    matched(db)
    moved = replace(
        trades[40], trade_date=day(18), instrument_id="3", executed_at=datetime.combine(day(18), time(9), UTC)
    )
    put(db, [moved])
    with db.transaction() as tx:
        tx.add(DIRTY_DAYS, [mark(moved.broker, moved.account_id, trades[40].trade_date)])
    matched(db)
    assert stored(db) == by_reference(db)


def test_matching_again_writes_no_row(db: Database) -> None:
    trades, fees = random_trades(300, 15)
    put(db, trades, fees)
    assert matched(db)["lots"].inserted > 0
    before = {table: written_at(db.url, table) for table in ("lots", "realized_pnl", "position_movements")}
    put(db, trades, fees)
    changed = matched(db)
    assert {name: merged for name, merged in changed.items() if merged.changed} == {}
    assert {table: written_at(db.url, table) for table in before} == before


def test_only_rows_of_touched_instruments_from_their_day_on_are_written(db: Database) -> None:
    trades, fees = random_trades(400, 17)
    put(db, trades, fees)
    matched(db)
    before = {table: written_at(db.url, table) for table in ("lots", "realized_pnl")}
    late = trade(9_001, "BUY", "1", trade_date=day(19), instrument_id="4", symbol="US.S4", account_id="U0")
    put(db, [replace(late, executed_at=datetime.combine(day(19), time(23), UTC))])
    matched(db)
    after = {table: written_at(db.url, table) for table in before}
    assert {uid for uid, xmin in before["realized_pnl"].items() if after["realized_pnl"].get(uid) != xmin} == set()
    of_it = {lot.lot_uid for lot in rows_of(db.url, "lots", Lot) if lot.instrument_id == "4"}
    assert {uid for uid, xmin in after["lots"].items() if before["lots"].get(uid) != xmin} <= of_it


def realized(db: Database) -> list[RealizedPnl]:
    return sorted(rows_of(db.url, "realized_pnl", RealizedPnl), key=lambda row: row.realized_uid)


def test_a_flip_closes_the_long_and_opens_a_short_with_the_rest_of_its_fees(db: Database) -> None:
    bought = trade(1, "BUY", "100", "10")
    sold = trade(2, "SELL", "150", "12")
    put(db, [bought, sold], [fee(bought, "1"), fee(sold, "3")])
    matched(db)
    (piece,) = realized(db)
    assert (piece.qty, piece.open_fees, piece.close_fees, piece.realized_pnl) == (100, 1, 2, 197)
    short = next(lot for lot in rows_of(db.url, "lots", Lot) if lot.qty < 0)
    assert (short.qty, short.fees, short.cost_basis, short.remaining_qty) == (-50, 1, -599, -50)


def test_fees_that_are_not_known_stay_unknown_and_count_nothing(db: Database) -> None:
    bought, sold = trade(1, "BUY", "3", "10"), trade(2, "SELL", "1", "11")
    put(db, [bought, sold])
    matched(db)
    (piece,) = realized(db)
    assert (piece.open_fees, piece.close_fees, piece.realized_pnl) == (None, None, 1)


def test_fees_that_arrive_later_change_what_was_realized(db: Database) -> None:
    bought, sold = trade(1, "BUY", "3", "10"), trade(2, "SELL", "1", "11")
    put(db, [bought, sold])
    matched(db)
    put(db, [bought], [fee(bought, "1")])
    matched(db)
    (piece,) = realized(db)
    assert (piece.open_fees, piece.realized_pnl) == (Decimal("0.3333333333"), Decimal("0.6666666667"))


def test_an_option_that_expires_closes_at_nothing_without_fees(db: Database) -> None:
    option = {"asset_class": AssetClass.OPTION, "multiplier": Decimal(100), "instrument_id": "O"}
    sold = trade(1, "SELL", "2", "1.5", **option)
    ended = trade(2, "BUY", "2", "0", kind=TradeKind.EXPIRATION, position_effect="CLOSE", trade_date=day(5), **option)
    put(db, [sold, ended], [fee(sold, "2")])
    matched(db)
    (piece,) = realized(db)
    assert (piece.kind, piece.close_fees, piece.realized_pnl) == ("EXPIRATION", 0, 298)


def test_a_closing_beyond_the_lots_opens_nothing(db: Database) -> None:
    put(db, [trade(1, "BUY", "5"), trade(2, "SELL", "8", "11", position_effect="CLOSE")])
    matched(db)
    assert [(row.lot_uid is None, row.qty, row.realized_pnl) for row in realized(db)] == [
        (True, 3, None),
        (False, 5, 5),
    ]
    assert {lot.remaining_qty for lot in rows_of(db.url, "lots", Lot)} == {0}


def assigned(premium: str) -> list[Trade]:
    """A short put with this premium, assigned on day 3; the shares are sold on day 5."""
    option = {
        "asset_class": AssetClass.OPTION,
        "multiplier": Decimal(100),
        "instrument_id": "PUT",
        "symbol": "US.AAPL P",
    }
    ended = {"kind": TradeKind.ASSIGNMENT, "link_id": "A1", "trade_date": day(3)}
    at = datetime.combine(day(3), time(21, 20), UTC)
    return [
        trade(1, "SELL", "1", premium, **option),
        trade(2, "BUY", "1", "0", executed_at=at, position_effect="CLOSE", **option, **ended),
        trade(3, "BUY", "100", "90", executed_at=at, position_effect="OPEN", **ended),
        trade(4, "SELL", "100", "95", trade_date=day(5), executed_at=datetime.combine(day(5), time(15), UTC)),
    ]


def test_shares_carry_the_premium_of_the_put_that_delivered_them(db: Database) -> None:
    put(db, assigned("2.5"))
    matched(db)
    gains = {row.instrument_id: (row.realized_pnl, row.carried_pnl) for row in realized(db)}
    assert gains == {"PUT": (0, -250), "265598": (750, 250)}


def test_a_corrected_premium_changes_the_shares_that_it_was_carried_into(db: Database) -> None:
    put(db, assigned("2.5"))
    matched(db)
    put(db, assigned("3")[:1])
    matched(db)
    assert {row.instrument_id: row.realized_pnl for row in realized(db)} == {"PUT": 0, "265598": 800}
    corrected = contents(db.url)
    query(db.url, "TRUNCATE position_movements, lots, realized_pnl")
    put(db, assigned("3"))
    matched(db)
    assert contents(db.url) == corrected


def test_the_marks_of_changed_days_move_on_to_the_next_stage(db: Database) -> None:
    put(db, [trade(1, "BUY", "5")])
    matched(db)
    marks = query(db.url, "SELECT stage, account_id, business_date FROM dirty_days WHERE stage IN ('match', 'value')")
    assert marks == [("value", ACCOUNT, START)]


def test_an_asked_range_without_marks_is_matched_too(db: Database) -> None:
    with db.transaction() as tx:
        tx.merge(TRADES, [as_row(trade(1, "BUY", "5"))])
    assert matched(db)["lots"] == Merged(0, 0)
    assert value(db.url, "SELECT count(*) FROM lots") == 0


def test_a_closing_of_options_that_was_told_as_an_end_never_opens(db: Database) -> None:
    option = {"asset_class": AssetClass.OPTION, "multiplier": Decimal(100), "instrument_id": "O"}
    put(db, [trade(1, "BUY", "2", "0", kind=TradeKind.EXPIRATION, **option)])
    matched(db)
    assert [(row.lot_uid, row.basis_source) for row in realized(db)] == [(None, "UNKNOWN")]
    assert rows_of(db.url, "lots", Lot) == []
