"""What follows from matched movements: daily positions, events and round trips, whatever the order of the news."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.ledger import Action, MovementKind, PositionMovement, order_of
from apex_pipeline.domain.models import AssetClass
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.positions import extend_positions, relink_round_trips
from apex_pipeline.store.transaction import Merged
from tests.conftest import clone
from tests.store.position_books import ACCOUNT, OTHER, STOCK, TABLES, Book, Key, cover, day, move, snapshot
from tests.store.rows import query, tables_hash, value

D = Decimal


@pytest.fixture
def other_db(server_url: str, template: str) -> Iterator[Database]:
    """A second migrated database, to compare with."""
    for url in clone(server_url, template):
        with Database(url) as opened:
            yield opened


def daily(db: Database, instrument: str = STOCK) -> list[tuple[Any, ...]]:
    """Day, quantity, cost and average cost of every row."""
    return query(
        db.url,
        "SELECT business_date, qty, cost_basis, avg_cost FROM positions_daily WHERE instrument_id = %s ORDER BY 1",
        instrument,
    )


def events(db: Database, instrument: str = STOCK) -> list[tuple[Any, ...]]:
    return query(
        db.url,
        "SELECT event_uid, event, qty, position_qty, realized_pnl, holding_days, position_uid FROM position_events "
        "WHERE instrument_id = %s ORDER BY business_date, at, event_uid",
        instrument,
    )


def trips(db: Database) -> dict[str, tuple[Any, ...]]:
    rows = query(
        db.url,
        "SELECT trade_id, side, quantity, entry_price, exit_price, realized_pnl, fees, status FROM round_trips",
    )
    return {row[0]: row[1:] for row in rows}


def extend(db: Database, *accounts: str, from_date: date | None = None) -> Merged:
    with db.transaction() as tx:
        return extend_positions(tx, accounts or (ACCOUNT,), from_date)


# --- days -----------------------------------------------------------------------------------------------------


def test_a_position_stands_on_every_known_weekday_until_it_is_closed(db: Database) -> None:
    cover(db, 0, 13)
    Book([move("A", 1, 100, 10), move("B", 3, 50, 11), move("C", 8, -150, 12)]).store(db)
    held = [(day(n), D(100), D(1001), D("10.01")) for n in (1, 2)]
    more = [(day(n), D(150), D(1552), D("10.3466666667")) for n in (3, 4, 7)]
    assert daily(db) == held + more


def test_a_weekend_is_known_where_something_moved_or_the_broker_told_positions(db: Database) -> None:
    cover(db, 0, 8)
    snapshot(db, 6, {STOCK: None})
    Book([move("A", 4, 100, 10), move("B", 5, 10, 10, instrument=OTHER)]).store(db)
    assert [row[0] for row in daily(db)] == [day(n) for n in (4, 5, 6, 7, 8)]
    assert [row[0] for row in daily(db, OTHER)] == [day(n) for n in (5, 6, 7, 8)]


def test_openings_stand_from_the_first_known_day_on(db: Database) -> None:
    cover(db, 7, 9)
    Book([move("O", -400, 100, 10, kind=MovementKind.OPENING), move("B", 8, -40, 11)]).store(db)
    assert [row[:2] for row in daily(db)] == [(day(7), D(100)), (day(8), D(60)), (day(9), D(60))]


def test_without_any_coverage_the_days_are_those_of_the_movements(db: Database) -> None:
    Book([move("A", 1, 100, 10), move("B", 3, 1, 10, instrument=OTHER)]).store(db)
    assert [row[0] for row in daily(db)] == [day(1), day(2), day(3)]


def test_the_cost_of_a_short_is_negative_and_fractions_stay_exact(db: Database) -> None:
    Book([move("A", 0, "-2.5", "10.2", fees="0.5", multiplier=100), move("B", 1, 1, 9, multiplier=100)]).store(db)
    assert daily(db) == [
        (day(0), D("-2.5"), D("-2549.5"), D("10.198")),
        (day(1), D("-1.5"), D("-1529.7"), D("10.198")),
    ]


def test_the_cost_is_unknown_while_a_lot_of_unknown_cost_is_open(db: Database) -> None:
    Book([move("A", 0, 10), move("B", 1, 10, 5), move("C", 2, -10, 6), move("D", 3, -5, 6)]).store(db)
    assert [row[1:3] for row in daily(db)] == [(D(10), None), (D(20), None), (D(10), D(51)), (D(5), D("25.5"))]


def test_the_cost_is_unknown_from_the_day_on_which_the_ledger_stopped(db: Database) -> None:
    broken = move("X", 2, 30, kind=MovementKind.CORPORATE_ACTION, action=Action.UNKNOWN, link="9@2", fees=None)
    Book([move("A", 0, 10, 5), broken, move("C", 3, -5, 6)]).store(db)
    assert [row[1:3] for row in daily(db)] == [(D(10), D(51)), (D(10), D(51)), (D(40), None), (D(35), None)]
    assert [row[1:5] for row in events(db)][-1] == ("REDUCED", D(5), D(35), None)
    assert trips(db)[f"{ACCOUNT}_A"][4] is None


def test_the_marks_are_the_brokers_of_that_day(db: Database) -> None:
    cover(db, 0, 2)
    snapshot(db, 1, {STOCK: "11.50", OTHER: "3"})
    Book([move("A", 0, -100, 10, multiplier=10)]).store(db)
    rows = query(db.url, "SELECT mark_price, market_value, unrealized_pnl FROM positions_daily ORDER BY business_date")
    assert rows == [(None, None, None), (D("11.5"), D(-11500), D(-1501)), (None, None, None)]
    assert value(db.url, "SELECT mark_price::text FROM positions_daily WHERE mark_price IS NOT NULL") == "11.5"


def test_stored_numbers_have_no_trailing_zeros(db: Database) -> None:
    Book([move("A", 0, "10.00", "5.10", fees="0.50")]).store(db)
    rows = query(db.url, "SELECT qty::text, cost_basis::text, avg_cost::text FROM positions_daily")
    assert rows == [("10", "51.5", "5.15")]


# --- days that become known ------------------------------------------------------------------------------------


def test_a_new_day_carries_what_is_open_and_takes_its_marks(db: Database) -> None:
    cover(db, 0, 3)
    Book([move("A", 0, 100, 10), move("B", 0, 5, 10, instrument=OTHER), move("C", 2, -5, 10, instrument=OTHER)]).store(
        db
    )
    assert extend(db) == Merged(0, 0)
    cover(db, 4, 8)
    snapshot(db, 7, {STOCK: "12"})
    assert extend(db) == Merged(3, 0)
    assert [row[:3] for row in daily(db)][4:] == [(day(n), D(100), D(1001)) for n in (4, 7, 8)]
    assert value(db.url, "SELECT unrealized_pnl FROM positions_daily WHERE business_date = %s", day(7)) == D(199)
    assert len(daily(db, OTHER)) == 2
    assert extend(db) == Merged(0, 0)


def test_what_was_closed_on_the_last_known_day_does_not_come_back(db: Database) -> None:
    cover(db, 0, 2)
    Book([move("A", 0, 100, 10), move("B", 1, -100, 10)]).store(db)
    cover(db, 3, 9)
    assert extend(db) == Merged(0, 0)
    assert len(daily(db)) == 1


def test_marks_that_change_later_are_followed_and_others_left_alone(db: Database) -> None:
    cover(db, 0, 2)
    Book([move("A", 0, 100, 10)]).store(db)
    snapshot(db, 1, {STOCK: "12"})
    assert extend(db, from_date=day(2)) == Merged(0, 0)
    assert extend(db) == Merged(0, 1)
    snapshot(db, 1, {STOCK: "13"})
    assert extend(db, from_date=day(1)) == Merged(0, 1)
    assert extend(db) == Merged(0, 0)


def test_days_before_all_stored_ones_hold_the_openings(db: Database, other_db: Database) -> None:
    book = Book([move("O", -400, 100, 10, kind=MovementKind.OPENING), move("B", 8, -40, 11)])
    opening(db)
    opening(other_db)
    cover(db, 7, 9)
    book.store(db)
    cover(db, 2, 6)
    assert extend(db).inserted == 3
    cover(other_db, 2, 9)
    book.store(other_db)
    assert tables_hash(db.url, TABLES) == tables_hash(other_db.url, TABLES)


def opening(db: Database) -> None:
    query(
        db.url,
        "INSERT INTO opening_balances (opening_uid, broker, account_id, instrument_id, symbol, asset_class, qty, "
        "opened_on, source) VALUES ('O', 'IB', %s, %s, 'US.X', 'STOCK', 100, %s, 'PERSON')",
        ACCOUNT,
        STOCK,
        day(-400),
    )


def test_a_weekend_that_is_not_known_any_more_is_gone_for_all_positions(db: Database) -> None:
    cover(db, 0, 8)
    book = Book([move("A", 4, 100, 10), move("B", 5, 10, 10, instrument=OTHER)])
    book.store(db)
    assert day(5) in [row[0] for row in daily(db)]
    Book(book.movements[:1]).store(db, {(ACCOUNT, OTHER): day(5)})
    assert [row[0] for row in daily(db)] == [day(4), day(7), day(8)]
    assert daily(db, OTHER) == []


# --- events ----------------------------------------------------------------------------------------------------


def test_every_movement_has_its_event_in_the_life_of_a_position(db: Database) -> None:
    Book([move("A", 0, 100, 10), move("B", 1, 100, 11), move("C", 3, -50, 12), move("D", 7, -150, 13)]).store(db)
    uid = f"{ACCOUNT}_A"
    assert events(db) == [
        ("A", "OPENED", D(100), D(100), None, 0, uid),
        ("B", "INCREASED", D(100), D(200), None, 1, uid),
        ("C", "REDUCED", D(50), D(150), D("98.5"), 3, uid),
        ("D", "CLOSED", D(150), D(0), D("347.5"), 7, uid),
    ]


def test_a_flip_ends_one_position_and_opens_another(db: Database) -> None:
    Book([move("A", 0, 100, 10), move("B", 2, -150, 12, fees="3"), move("C", 4, 50, 11)]).store(db)
    first, second = f"{ACCOUNT}_A", f"{ACCOUNT}_B"
    assert events(db) == [
        ("A", "OPENED", D(100), D(100), None, 0, first),
        ("B", "FLIPPED", D(100), D(0), D(197), 2, first),
        ("B:OPENED", "OPENED", D(50), D(-50), None, 0, second),
        ("C", "CLOSED", D(50), D(0), D(48), 2, second),
    ]
    assert trips(db) == {
        first: ("BUY", D(100), D(10), D(12), D(197), D(3), "CLOSED"),
        second: ("SELL", D(50), D(12), D(11), D(48), D(2), "CLOSED"),
    }


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        (MovementKind.EXPIRATION, "EXPIRED"),
        (MovementKind.ASSIGNMENT, "ASSIGNED"),
        (MovementKind.EXERCISE, "EXERCISED"),
    ],
)
def test_options_end_by_name_and_shares_that_they_deliver_are_opened(
    db: Database, kind: MovementKind, event: str
) -> None:
    rows = [
        move("A", 0, -2, 3, asset_class=AssetClass.OPTION, multiplier=100),
        move("B", 1, 1, 0, asset_class=AssetClass.OPTION, multiplier=100, kind=kind),
        move("C", 2, 1, 0, asset_class=AssetClass.OPTION, multiplier=100, kind=kind),
        move("S", 2, 100, 50, instrument=OTHER, kind=kind),
    ]
    Book(rows).store(db)
    assert [(row[1], row[3]) for row in events(db)] == [("OPENED", D(-2)), (event, D(-1)), (event, D(0))]
    assert [row[1] for row in events(db, OTHER)] == ["OPENED"]


def test_a_split_changes_the_quantity_without_a_price_and_keeps_the_position(db: Database) -> None:
    split = move("X", 2, 100, kind=MovementKind.CORPORATE_ACTION, action=Action.SPLIT, link="7@2", fees=None)
    Book([move("A", 0, 100, 10), split, move("C", 4, -200, 6)]).store(db)
    assert [row[1:5] for row in events(db)] == [
        ("OPENED", D(100), D(100), None),
        ("INCREASED", D(100), D(200), None),
        ("CLOSED", D(200), D(0), D(198)),
    ]
    assert [row[1:3] for row in daily(db)] == [(D(100), D(1001))] * 2 + [(D(200), D(1001))] * 2
    assert trips(db) == {f"{ACCOUNT}_A": ("BUY", D(200), D(5), D(6), D(198), D(2), "CLOSED")}


def test_a_reverse_split_takes_shares_and_gains_nothing(db: Database) -> None:
    split = move("X", 2, -90, kind=MovementKind.CORPORATE_ACTION, action=Action.SPLIT, link="7@2", fees=None)
    Book([move("A", 0, 100, 10), split]).store(db)
    assert [row[1:5] for row in events(db)][1] == ("REDUCED", D(90), D(10), D(0))
    assert trips(db) == {f"{ACCOUNT}_A": ("BUY", D(10), D(100), None, D(0), D(1), "OPEN")}


def test_a_corporate_action_that_is_reversed_is_no_event(db: Database) -> None:
    def row(uid: str, qty: int) -> PositionMovement:
        return move(uid, 2, qty, kind=MovementKind.CORPORATE_ACTION, action=Action.SPLIT, link="7@2", fees=None)

    Book([move("A", 0, 100, 10), row("X", -100), row("Y", 100), row("Z", 100)]).store(db)
    assert [row[:4] for row in events(db)] == [("A", "OPENED", D(100), D(100)), ("Y", "INCREASED", D(100), D(200))]


def test_a_change_of_symbol_closes_the_old_and_opens_the_new_at_the_same_cost(db: Database) -> None:
    def row(uid: str, qty: int, instrument: str) -> PositionMovement:
        changed = MovementKind.CORPORATE_ACTION
        return move(
            uid, 2, qty, kind=changed, action=Action.SYMBOL_CHANGE, link="7@2", fees=None, instrument=instrument
        )

    Book(
        [move("A", 0, 100, 10), row("X", -100, STOCK), row("Y", 100, OTHER), move("B", 3, -100, 12, instrument=OTHER)]
    ).store(db)
    assert [row[1:5] for row in events(db)][-1] == ("CLOSED", D(100), D(0), D(0))
    assert [row[1:5] for row in events(db, OTHER)] == [
        ("OPENED", D(100), D(100), None),
        ("CLOSED", D(100), D(0), D(198)),
    ]
    assert [row[1:3] for row in daily(db)] + [row[1:3] for row in daily(db, OTHER)] == [(D(100), D(1001))] * 3
    told = trips(db)
    assert told[f"{ACCOUNT}_A"] == ("BUY", D(100), D(10), None, D(0), D(1), "CLOSED")
    assert told[f"{ACCOUNT}_Y"] == ("BUY", D(100), D(10), D(12), D(198), D(1), "CLOSED")


def test_a_merger_for_cash_closes_at_what_it_paid(db: Database) -> None:
    merger = move(
        "X", 2, -100, kind=MovementKind.CORPORATE_ACTION, action=Action.MERGER, link="7@2", fees=None, money="1500"
    )
    Book([move("A", 0, 100, 10), merger]).store(db)
    assert [row[1:5] for row in events(db)][-1] == ("CLOSED", D(100), D(0), D(499))
    assert trips(db) == {f"{ACCOUNT}_A": ("BUY", D(100), D(10), D(15), D(499), D(1), "CLOSED")}


def test_shares_that_leave_by_transfer_gain_nothing(db: Database) -> None:
    leaves = move("X", 2, -40, 12, kind=MovementKind.TRANSFER, fees=None)
    Book([move("A", 0, 100, 10), leaves]).store(db)
    assert [row[1:5] for row in events(db)][-1] == ("REDUCED", D(40), D(60), D(0))
    assert daily(db)[-1][1:3] == (D(60), D("600.6"))


# --- round trips -----------------------------------------------------------------------------------------------


def test_a_round_trip_averages_what_was_paid_and_names_its_strategy(db: Database) -> None:
    Book([move("A", 0, 100, 10), move("B", 1, 200, 13), move("C", 2, -150, 14, fees="2")]).store(db)
    uid = f"{ACCOUNT}_A"
    assert trips(db) == {uid: ("BUY", D(300), D(12), D(14), D("446.75"), D(4), "OPEN")}
    classified(db)
    with db.transaction() as tx:
        assert relink_round_trips(tx, [ACCOUNT]) == Merged(0, 1)
        assert relink_round_trips(tx, [ACCOUNT]) == Merged(0, 0)
    assert value(db.url, "SELECT strategy_uid FROM round_trips") == "large"
    assert Book([move("A", 0, 100, 10)]).store(db)["round_trips"] == Merged(0, 1)
    assert value(db.url, "SELECT strategy_uid FROM round_trips") == "large"


def classified(db: Database) -> None:
    """The opening trade's order serves two strategies."""
    query(
        db.url,
        "INSERT INTO trades_norm (trade_uid, order_uid, broker, account_id, broker_trade_id, symbol, asset_class, "
        "kind, effective, side, qty, price, trade_date, source) VALUES ('A', 'O1', 'IB', %s, '1', 'US.X', 'STOCK', "
        "'TRADE', true, 'BUY', 100, 10, %s, 'ib_flex')",
        ACCOUNT,
        day(0),
    )
    for uid, qty in (("small", 10), ("large", 90)):
        query(
            db.url,
            "INSERT INTO order_strategy_map (order_uid, strategy_uid, account_id, trade_date, strategy_type, action, "
            "qty_in_strategy, confidence, method, classifier_version, evidence, alternatives) "
            "VALUES ('O1', %s, %s, %s, 'LONG_STOCK', 'OPEN', %s, 1, 'x', '1', '{}', '[]')",
            uid,
            ACCOUNT,
            day(0),
            qty,
        )


def test_round_trips_of_others_are_never_touched(db: Database) -> None:
    for trade_id in ("engine-1", f"{ACCOUNT}_A"):
        query(
            db.url,
            "INSERT INTO round_trips (trade_id, broker, account_id, instrument_id, symbol, side, quantity, entry_date, "
            "status, source) VALUES (%s, 'IB', %s, %s, 'US.X', 'BUY', 1, %s, 'OPEN', 'engine')",
            trade_id,
            ACCOUNT,
            STOCK,
            day(3),
        )
    before = tables_hash(db.url, ["round_trips"])
    assert Book([move("A", 0, 100, 10)]).store(db)["round_trips"] == Merged(0, 0)
    assert tables_hash(db.url, ["round_trips"]) == before


def test_a_gain_that_is_not_known_leaves_the_round_trip_unknown(db: Database) -> None:
    Book([move("A", 0, 10), move("B", 1, 10, 5), move("C", 2, -20, 6)]).store(db)
    assert trips(db) == {f"{ACCOUNT}_A": ("BUY", D(20), None, D(6), None, D(3), "CLOSED")}


# --- the order of the news does not matter ----------------------------------------------------------------------


def random_book(seed: int, *, trades: int = 160) -> list[PositionMovement]:
    """Trades of a few instruments and two accounts with flips, splits, expiries and weekends."""
    rng = random.Random(seed)
    rows: list[PositionMovement] = []
    for number in range(trades):
        instrument = rng.choice((STOCK, OTHER, "77"))
        option = instrument == "77"
        qty = rng.choice((-30, -20, -10, -5, 5, 10, 20, 30))
        rows.append(
            move(
                f"T{number:04}",
                rng.randrange(40),
                qty,
                rng.choice(("9.5", "10", "10.25", "11.3", None)) if rng.random() < 0.97 else None,
                fees=rng.choice(("0.35", "1", "-0.1", None)),
                account=rng.choice((ACCOUNT, "U2")),
                instrument=instrument,
                asset_class=AssetClass.OPTION if option else AssetClass.STOCK,
                multiplier=100 if option else 1,
                kind=MovementKind.EXPIRATION if option and rng.random() < 0.1 else MovementKind.TRADE,
                hour=rng.randrange(24),
            )
        )
    return rows


def changed_keys(before: list[PositionMovement], after: list[PositionMovement]) -> dict[Key, date]:
    """The first day on which each instrument's movements differ."""
    days: dict[Key, date] = {}
    for row in set(before) ^ set(after):
        key = row.account_id, row.instrument_id
        days[key] = min(days.get(key, row.business_date), row.business_date)
    return days


@pytest.mark.parametrize("seed", range(2))
def test_days_added_corrected_and_removed_in_any_order_leave_the_same_rows(
    db: Database, other_db: Database, seed: int
) -> None:
    rng = random.Random(seed)
    final = random_book(seed)
    parts = sorted({row.business_date.toordinal() % 13 for row in final})
    rng.shuffle(parts)
    stored: list[PositionMovement] = []
    for number, part in enumerate(parts):
        cover(db, rng.randrange(40), 40)
        fresh = [row for row in final if row.business_date.toordinal() % 13 == part]
        wrong = [replace(row, qty=-row.qty) for row in fresh[:1]] + fresh[1:] if number % 3 == 0 else fresh
        strange = [replace(wrong[0], movement_uid=f"GONE{number}")] if number % 4 == 0 else []
        for target in ([*stored, *wrong, *strange], [*stored, *fresh]):
            Book(target).store(db, changed_keys(stored, target))
            stored = target
    cover(db, -3, 44)
    cover(other_db, -3, 44)
    extend(db, ACCOUNT, "U2")
    Book(final).store(other_db)
    assert tables_hash(db.url, TABLES) == tables_hash(other_db.url, TABLES)


def test_what_is_stored_again_is_not_written_again(db: Database) -> None:
    cover(db, 0, 45)
    book = Book(random_book(5))
    first = book.store(db)
    assert all(merged.inserted and not merged.updated for merged in first.values())
    again = book.store(db)
    assert again == dict.fromkeys(first, Merged(0, 0))
    assert book.store(db, {}) == again


def test_only_what_was_touched_is_written(db: Database) -> None:
    cover(db, 0, 45)
    rows = random_book(6)
    Book(rows).store(db)
    before = written(db)
    late = move("LATE", 30, 7, 10)
    Book([*rows, late]).store(db, {(ACCOUNT, STOCK): day(30)})
    new = {row for row in written(db) if row not in before}
    assert new
    assert {(account, instrument) for account, instrument, _, _ in new} == {(ACCOUNT, STOCK)}


def written(db: Database) -> set[tuple[Any, ...]]:
    """Every row of the tables with the transaction that wrote it."""
    rows = query(
        db.url,
        "SELECT account_id, instrument_id, business_date::text, xmin::text FROM positions_daily "
        "UNION ALL SELECT account_id, instrument_id, event_uid, xmin::text FROM position_events "
        "UNION ALL SELECT account_id, instrument_id, trade_id, xmin::text FROM round_trips",
    )
    return set(rows)


@pytest.mark.parametrize("seed", range(10, 13))
def test_every_row_agrees_with_a_replay_by_hand(db: Database, seed: int) -> None:
    book = Book(random_book(seed))
    book.store(db)
    held: dict[Key, Decimal] = {}
    expected: dict[tuple[str, str, date], Decimal] = {}
    for row in sorted(book.movements, key=order_of):
        key = row.account_id, row.instrument_id
        held[key] = held.get(key, D(0)) + row.qty
        expected[*key, row.business_date] = held[key]
    rows = query(db.url, "SELECT account_id, instrument_id, business_date, qty, cost_basis FROM positions_daily")
    found = {row[:3]: row[3] for row in rows}
    for place, qty in expected.items():
        assert found.get(place, D(0)) == qty
    last = {
        (account, on)
        for account, on in query(db.url, "SELECT account_id, max(business_date) FROM positions_daily GROUP BY 1")
    }
    for account, instrument, on, qty, cost in rows:
        if (account, on) in last:
            lots = [lot for lot in book.matched(account).lots if lot.instrument_id == instrument and lot.remaining_qty]
            costs = [lot.remaining_cost for lot in lots]
            assert qty == sum(lot.remaining_qty for lot in lots)
            assert cost == (None if None in costs else sum(known for known in costs if known is not None))
    gained = query(db.url, "SELECT sum(realized_pnl) FROM realized_pnl WHERE realized_pnl IS NOT NULL")[0][0]
    assert value(
        db.url, "SELECT sum(qty) FILTER (WHERE event IN ('OPENED', 'INCREASED')) FROM position_events"
    ) == value(db.url, "SELECT sum(quantity) FROM round_trips")
    assert gained is not None


def test_a_position_is_named_as_by_its_newest_trade_and_not_by_a_corporate_action(db: Database) -> None:
    split = move(
        "X", 2, 100, kind=MovementKind.CORPORATE_ACTION, action=Action.SPLIT, link="7@2", fees=None, symbol="US.S1.OLD"
    )
    book = Book([move("A", 0, 100, 10), split])
    cover(db, 0, 4)
    book.store(db)
    named = "SELECT DISTINCT symbol FROM positions_daily"
    assert query(db.url, named) == [(f"US.S{STOCK}",)]
    book.store(db, {(ACCOUNT, STOCK): day(2)})
    assert query(db.url, named) == [(f"US.S{STOCK}",)]


def test_what_the_broker_tells_of_a_closing_of_unknown_lots_is_no_cost_of_the_others(db: Database) -> None:
    cover(db, 0, 6)
    unknown = move("O", 0, 50, kind=MovementKind.OPENING, fees=None, hour=9)
    sold = replace(move("S", 2, -70, 12), position_effect="CLOSE", broker_cost=D(700))
    book = Book([unknown, move("A", 1, 100, 10), sold, move("B", 4, 10, 10)])
    costs = [None, None, D("800.8"), D("800.8"), D("901.8")]
    for touched in (None, {(ACCOUNT, STOCK): day(2)}, {(ACCOUNT, STOCK): day(4)}):
        book.store(db, touched)
        assert [row[2] for row in daily(db)][:5] == costs
    closing = query(db.url, "SELECT cost_basis, basis_source FROM realized_pnl ORDER BY realized_uid")
    assert closing == [(D("200.2"), "TRADES"), (D("499.8"), "BROKER_CLOSE")]
