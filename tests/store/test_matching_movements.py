"""What moves positions: fees of trades, book entries, corporate actions, transfers, openings, and their order."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import LiteralString

from apex_pipeline.domain.ledger import Lot, PositionMovement
from apex_pipeline.domain.models import AssetClass, TradeKind
from apex_pipeline.store.db import Database
from tests.store.matched import ACCOUNT, START, contents, day, fee, matched, put, rows_of, trade
from tests.store.rows import query


def movements(db: Database) -> dict[str, PositionMovement]:
    return {row.movement_uid: row for row in rows_of(db.url, "position_movements", PositionMovement)}


def run(db: Database, text: LiteralString, *params: object) -> None:
    query(db.url, text, *params)


def told(db: Database, on: date = START) -> None:
    """Mark a day of the account."""
    run(db, "INSERT INTO dirty_days VALUES ('match', 'IB', %s, %s) ON CONFLICT DO NOTHING", ACCOUNT, on)


def test_only_effective_trades_of_what_can_be_held_move_positions(db: Database) -> None:
    kept = trade(1, "SELL", "5.50", "1.20")
    put(
        db,
        [
            kept,
            trade(2, "BUY", "5", effective=False),
            trade(3, "BUY", "5", asset_class=AssetClass.FX),
            trade(4, "BUY", "5", asset_class=AssetClass.COMBO),
            trade(5, "BUY", "0"),
        ],
    )
    matched(db)
    (row,) = movements(db).values()
    assert (row.movement_uid, str(row.qty), str(row.price), row.sequence, row.fees) == (
        kept.trade_uid,
        "-5.5",
        "1.2",
        1,
        None,
    )


def test_a_trade_without_the_brokers_id_of_its_instrument_is_matched_by_symbol(db: Database) -> None:
    put(db, [trade(1, "BUY", "5", instrument_id=None)])
    matched(db)
    assert [row.instrument_id for row in movements(db).values()] == ["US.AAPL"]


def test_an_allocated_fee_counts_with_the_trade_that_bears_it_and_nowhere_else(db: Database) -> None:
    cancelled, rebook = trade(1, "BUY", "5", effective=False), trade(2, "BUY", "5")
    put(db, [cancelled, rebook], [fee(cancelled, "1.5"), fee(rebook, "2")])
    run(
        db,
        "INSERT INTO fee_allocations VALUES (%s, %s, 'IB', %s, 1.5)",
        f"{cancelled.trade_uid}_C",
        rebook.trade_uid,
        ACCOUNT,
    )
    matched(db)
    assert {row.fees for row in movements(db).values()} == {Decimal("3.5")}


def test_a_fee_in_another_currency_is_worth_what_the_rates_of_the_day_say(db: Database) -> None:
    bought = trade(1, "BUY", "5", currency="HKD")
    put(db, [bought], [fee(bought, "1", "USD")])
    matched(db)
    assert [row.fees for row in movements(db).values()] == [None]
    run(
        db,
        "INSERT INTO conversion_rates VALUES ('r1', 'IB', %s, %s, 'USD', 'CHF', 0.8, 'FLEX'), "
        "('r2', 'IB', %s, %s, 'HKD', 'CHF', 0.1, 'FLEX')",
        *(ACCOUNT, START) * 2,
    )
    told(db)
    matched(db)
    assert [row.fees for row in movements(db).values()] == [8]
    run(db, "UPDATE conversion_rates SET to_currency = 'USD', rate = 0.125 WHERE from_currency = 'HKD'")
    run(db, "DELETE FROM conversion_rates WHERE from_currency = 'USD'")
    told(db)
    matched(db)
    assert [row.fees for row in movements(db).values()] == [8]


def test_both_legs_of_an_assignment_stand_in_their_places(db: Database) -> None:
    ended = {"kind": TradeKind.ASSIGNMENT, "link_id": "A", "executed_at": None}
    option = {"asset_class": AssetClass.OPTION, "multiplier": Decimal(100), "instrument_id": "O"}
    put(
        db,
        [
            trade(1, "BUY", "1", "0", **ended, **option),
            trade(2, "BUY", "100", "90", **ended),
            trade(3, "BUY", "1", link_id="S"),
        ],
    )
    matched(db)
    rows = [movements(db)[f"IB_{ACCOUNT}_00000{number}"] for number in (1, 2, 3)]
    assert [(row.place, row.link_id, row.fees) for row in rows] == [(4, "A", 0), (5, "A", 0), (3, None, None)]
    assert rows[0].ordered_at == datetime(2026, 1, 5, 23, 59, 59, 999999, UTC)


def test_a_basis_of_the_broker_is_told_of_closings_only(db: Database) -> None:
    put(
        db,
        [
            trade(number, "SELL", "5", position_effect=effect)
            for number, effect in enumerate(("CLOSE", "OPEN", "CLOSE"))
        ],
    )
    for number, cost, effect in ((0, "-40.0", "C"), (1, "55", "O"), (2, "0", None)):
        run(
            db,
            "INSERT INTO broker_trade_figures (trade_uid, broker, account_id, business_date, symbol, cost_basis, "
            "position_effect, source) VALUES (%s, 'IB', %s, %s, 'US.AAPL', %s, %s, 'FLEX')",
            *(f"IB_{ACCOUNT}_{number:06d}", ACCOUNT, START, cost, effect),
        )
    matched(db)
    assert [str(movements(db)[f"IB_{ACCOUNT}_{number:06d}"].broker_cost) for number in range(3)] == [
        "40",
        "None",
        "None",
    ]


def split(db: Database, action_uid: str, instrument: str, qty: str, on: date, kind: str = "SPLIT") -> None:
    run(
        db,
        "INSERT INTO corporate_actions (action_uid, broker, account_id, business_date, broker_action_id, symbol, "
        "asset_class, qty, proceeds, currency, source, kind, instrument_id) "
        "VALUES (%s, 'IB', %s, %s, 'ACT', 'US.AAPL', 'STOCK', %s, 0, 'USD', 'FLEX', %s, %s)",
        *(action_uid, ACCOUNT, on, qty, kind, instrument),
    )
    told(db, on)


def test_a_split_scales_the_lots_and_what_is_sold_later_costs_less(db: Database) -> None:
    sold = trade(2, "SELL", "40", "6", trade_date=day(5), executed_at=datetime(2026, 1, 10, 15, tzinfo=UTC))
    put(db, [trade(1, "BUY", "10", "20"), sold])
    split(db, "S1", "265598", "30", day(3))
    matched(db)
    assert query(db.url, "SELECT realized_pnl, open_price, opened_on FROM realized_pnl") == [(40, 5, START)]
    assert movements(db)["S1"].link_id == f"ACT@{day(3)}"


def test_a_split_that_arrives_late_ends_in_the_same_tables(db: Database) -> None:
    sold = trade(2, "SELL", "40", "6", trade_date=day(5), executed_at=datetime(2026, 1, 10, 15, tzinfo=UTC))
    split(db, "S1", "265598", "30", day(3))
    put(db, [trade(1, "BUY", "10", "20"), sold])
    matched(db)
    whole = contents(db.url)
    run(db, "TRUNCATE position_movements, lots, lot_moves, realized_pnl")
    run(db, "CREATE TABLE later AS TABLE corporate_actions; TRUNCATE corporate_actions")
    put(db, [trade(1, "BUY", "10", "20"), sold])
    matched(db)
    assert contents(db.url) != whole
    run(db, "INSERT INTO corporate_actions TABLE later")
    told(db, day(3))
    matched(db)
    assert contents(db.url) == whole


def test_lots_that_moved_to_another_instrument_follow_a_correction_of_the_first(db: Database) -> None:
    bought = trade(1, "BUY", "10", "20")
    sold = trade(2, "SELL", "5", "60", trade_date=day(5), instrument_id="NEW")
    put(db, [bought, replace(sold, executed_at=datetime(2026, 1, 10, 15, tzinfo=UTC))])
    split(db, "S1", "265598", "-10", day(3), "SYMBOL_CHANGE")
    split(db, "S2", "NEW", "5", day(3), "SYMBOL_CHANGE")
    matched(db)
    assert query(db.url, "SELECT realized_pnl, cost_basis FROM realized_pnl") == [(100, 200)]
    put(db, [replace(bought, price=Decimal(22))])
    matched(db)
    assert query(db.url, "SELECT realized_pnl, cost_basis FROM realized_pnl") == [(80, 220)]


def test_what_no_rule_covers_stops_the_lots_until_it_is_mended(db: Database) -> None:
    put(db, [trade(1, "BUY", "10", "20")])
    split(db, "S1", "265598", "7", day(3), "UNKNOWN")
    put(db, [trade(2, "SELL", "5", "60", trade_date=day(5))])
    matched(db)
    assert query(db.url, "SELECT stop_uid, business_date FROM ledger_stops") == [("S1", day(3))]
    assert query(db.url, "SELECT count(*) FROM realized_pnl") == [(0,)]
    put(db, [trade(3, "SELL", "5", "60", trade_date=day(6))])
    matched(db)
    assert query(db.url, "SELECT count(*) FROM realized_pnl") == [(0,)]
    run(db, "DELETE FROM corporate_actions")
    told(db, day(3))
    matched(db)
    assert query(db.url, "SELECT count(*) FROM ledger_stops") == [(0,)]
    assert query(db.url, "SELECT count(*) FROM realized_pnl") == [(2,)]


def opening(db: Database, uid: str, qty: str, cost: str, source: str = "BROKER_LOT") -> None:
    run(
        db,
        "INSERT INTO opening_balances (opening_uid, broker, account_id, instrument_id, symbol, asset_class, qty, "
        "opened_on, open_price, cost_basis, multiplier, currency, source) "
        "VALUES (%s, 'IB', %s, '265598', 'US.AAPL', 'STOCK', %s, "
        "'2025-01-02', 10, %s, 1, 'USD', %s)",
        *(uid, ACCOUNT, qty, cost, source),
    )


def test_an_opening_is_closed_first_at_the_basis_that_was_told(db: Database) -> None:
    put(db, [trade(1, "BUY", "10", "20"), trade(2, "SELL", "15", "30")])
    matched(db)
    opening(db, "O1", "10", "101.5")
    matched(db)
    rows = query(db.url, "SELECT lot_uid, open_trade_uid, qty, cost_basis, basis_source FROM realized_pnl ORDER BY 1")
    bought = f"IB_{ACCOUNT}_000001"
    assert rows == [(bought, bought, 5, 100, "TRADES"), ("O1", None, 10, Decimal("101.5"), "BROKER_LOT")]
    run(db, "DELETE FROM opening_balances")
    matched(db)
    assert query(db.url, "SELECT lot_uid, qty FROM realized_pnl") == [(bought, 10)]


def transfer(db: Database, qty: str, on: date = START) -> None:
    run(
        db,
        "INSERT INTO transfers (transfer_uid, broker, account_id, business_date, direction, symbol, asset_class, qty, "
        "currency, source, instrument_id) "
        "VALUES ('T1', 'IB', %s, %s, 'IN', 'US.AAPL', 'STOCK', %s, 'USD', 'FLEX', '265598')",
        *(ACCOUNT, on, qty),
    )


def test_a_transfer_whose_lots_are_told_is_not_counted_twice(db: Database) -> None:
    transfer(db, "10")
    matched(db)
    (lot,) = rows_of(db.url, "lots", Lot)
    assert (lot.lot_uid, lot.qty, lot.cost_basis, lot.basis_source) == ("T1", 10, None, "UNKNOWN")
    opening(db, "O1", "10", "101.5")
    run(db, "UPDATE opening_balances SET note = 'transfer T1'")
    matched(db)
    (lot,) = rows_of(db.url, "lots", Lot)
    assert (lot.lot_uid, lot.cost_basis) == ("O1", Decimal("101.5"))


def test_what_is_transferred_away_gains_nothing(db: Database) -> None:
    put(db, [trade(1, "BUY", "10", "20")])
    transfer(db, "-4", day(2))
    matched(db)
    assert query(db.url, "SELECT qty, cost_basis, to_lot_uid FROM lot_moves") == [(4, 80, None)]
    assert query(db.url, "SELECT remaining_qty, remaining_cost FROM lots") == [(6, 120)]


def test_a_transfer_opens_where_it_came_in_and_closes_where_it_went(db: Database) -> None:
    put(db, [trade(1, "BUY", "10", "20")])
    transfer(db, "-4", day(2))
    run(db, "UPDATE transfers SET direction = 'OUT'")
    matched(db)
    assert movements(db)["T1"].position_effect == "CLOSE"
    run(db, "UPDATE transfers SET qty = -11")
    told(db)
    matched(db)
    assert query(db.url, "SELECT stop_uid, reason_code FROM ledger_stops") == [("T1", "TRANSFERRED_IS_NOT_HELD")]
    assert query(db.url, "SELECT qty FROM lots") == [(10,)]


def test_an_opening_of_unknown_age_is_closed_before_all_others_of_its_day(db: Database) -> None:
    opening(db, "A1", "10", "101.5", "PERSON")
    opening(db, "Z1", "5", "0", "PERSON")
    run(
        db,
        "UPDATE opening_balances SET source = 'BROKER_POSITION', open_price = NULL, cost_basis = NULL, broker = 'FUTU' "
        "WHERE opening_uid = 'Z1'",
    )
    run(db, "UPDATE opening_balances SET opened_at = '2019-05-07 15:00Z' WHERE opening_uid = 'A1'")
    put(db, [trade(1, "SELL", "6", "30")])
    matched(db)
    rows = query(db.url, "SELECT lot_uid, qty, realized_pnl, basis_source FROM realized_pnl ORDER BY 1")
    assert rows == [("A1", 1, Decimal("19.85"), "PERSON"), ("Z1", 5, None, "UNKNOWN")]


def test_an_action_without_a_type_says_what_to_add_to_the_query(db: Database) -> None:
    put(db, [trade(1, "BUY", "10", "20")])
    split(db, "S1", "265598", "30", day(3), "UNKNOWN")
    matched(db)
    [(code, reason)] = query(db.url, "SELECT reason_code, reason FROM ledger_stops")
    assert (code, "`type`" in str(reason)) == ("TYPE_NOT_TOLD", True)
    run(db, "UPDATE corporate_actions SET broker_kind = 'SO'")
    told(db, day(3))
    matched(db)
    assert query(db.url, "SELECT reason_code FROM ledger_stops") == [("UNKNOWN_WITHOUT_RULE",)]
