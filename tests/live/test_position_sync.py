"""The book of positions follows its broker, the stored snapshot or the ledger, and never takes unknown for flat."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from apex_pipeline.domain.book import Difference
from apex_pipeline.domain.ledger import BookPosition, RoundTrip
from apex_pipeline.domain.models import AssetClass, Broker, BrokerPosition, Side
from apex_pipeline.errors import BrokerRefused, BrokerUnavailable
from apex_pipeline.live import Database, PositionRepository, PositionSyncService, Store, SyncResult, TradeRepository
from tests.store.position_books import ACCOUNT, STOCK, Book, at, cover, day, move, snapshot
from tests.store.rows import query, tables_hash

D = Decimal
SYMBOL = f"US.S{STOCK}"
NOON = datetime(2024, 3, 8, 12, tzinfo=UTC)


def held(qty: str | int, symbol: str = SYMBOL, *, as_of: datetime = NOON, cost: str | None = "9") -> BrokerPosition:
    """A position as a broker tells it."""
    return BrokerPosition(
        business_date=as_of.date(),
        broker=Broker.IB,
        account_id=ACCOUNT,
        broker_position_id=symbol,
        symbol=symbol,
        underlying=symbol,
        asset_class=AssetClass.STOCK,
        qty=D(qty),
        average_cost=None if cost is None else D(cost),
        mark_price=None,
        market_value=None,
        unrealized_pnl=D(7),
        realized_pnl=None,
        currency="USD",
        as_of=as_of,
        source="callback",
    )


def sync(db: Database, *answer: BrokerPosition, now: datetime = NOON + timedelta(seconds=90)) -> SyncResult:
    """Sync with a broker that answers with these positions."""
    return PositionSyncService(db, lambda _account: answer, now=lambda: now).sync_positions(ACCOUNT)


def offline(db: Database) -> SyncResult:
    return PositionSyncService(db, now=lambda: NOON).sync_positions(ACCOUNT)


def rows(db: Database) -> list[tuple[Any, ...]]:
    return query(
        db.url,
        "SELECT position_id, quantity, entry_price, status, unrealized_pnl, realized_pnl, exit_price, source "
        "FROM positions ORDER BY position_id",
    )


def counts(result: SyncResult) -> tuple[int, int, int]:
    return result.created, result.updated, result.closed


def test_a_position_is_created_updated_and_closed_as_the_broker_tells(db: Database) -> None:
    cover(db, 0, 4)
    name = f"IB_{ACCOUNT}_{SYMBOL}@{NOON.isoformat()}"
    first = sync(db, held(100))
    assert counts(first) == (1, 0, 0)
    assert (first.source, first.as_of, first.age_seconds) == ("IB", NOON, 90)
    assert first.differences == (Difference(SYMBOL, D(0), D(100), D(0)),)
    assert rows(db) == [(name, D(100), D(9), "OPEN", D(7), None, None, "IB")]
    assert counts(sync(db, held(60))) == (0, 1, 0)
    assert counts(sync(db, held(60))) == (0, 0, 0)
    flat = sync(db)
    assert counts(flat) == (0, 0, 1)
    assert flat.differences == (Difference(SYMBOL, D(60), D(0), D(0)),)
    assert rows(db) == [(name, D(60), D(9), "CLOSED", None, None, None, "IB")]
    assert counts(sync(db)) == (0, 0, 0)


@pytest.mark.parametrize("failure", [BrokerUnavailable("OpenD is not running"), BrokerRefused("no permission"), None])
def test_a_query_that_fails_is_unknown_and_never_flat(db: Database, failure: Exception | None) -> None:
    cover(db, 0, 4)
    sync(db, held(100))
    before = tables_hash(db.url, ["positions"])

    def ask(_account: str) -> Sequence[BrokerPosition] | None:
        if failure is not None:
            raise failure
        return None

    snapshot(db, 4, {STOCK: "9"})
    query(db.url, "UPDATE broker_positions SET qty = 100, as_of = %s, unrealized_pnl = 7, average_cost = 9", NOON)
    result = PositionSyncService(db, ask, now=lambda: NOON).sync_positions(ACCOUNT)
    assert counts(result) == (0, 0, 0)
    assert result.error
    assert tables_hash(db.url, ["positions"]) == before


def test_what_a_broker_told_since_the_stored_snapshot_stands_while_it_is_offline(db: Database) -> None:
    cover(db, 0, 4)
    snapshot(db, 2, {STOCK: "9"})
    sync(db, held(100))
    result = offline(db)
    assert (result.source, result.as_of, counts(result)) == ("IB", NOON, (0, 0, 0))
    assert rows(db)[0][1] == D(100)
    snapshot(db, 4, {STOCK: "9"})
    assert counts(offline(db)) == (0, 1, 0)
    assert rows(db)[0][1] == D(1)


def test_the_ledger_alone_does_not_end_what_it_has_never_heard_of(db: Database) -> None:
    cover(db, 0, 4)
    sync(db, held(100), held(5, "US.B"))
    Book([move("A", 0, 100, 10), move("B", 1, -100, 12)]).store(db)
    result = offline(db)
    assert (result.source, counts(result)) == ("LEDGER", (0, 0, 0))
    assert len(result.differences) == 2


def test_of_an_account_of_which_nothing_is_known_nothing_is_said(db: Database) -> None:
    result = offline(db)
    assert (result.source, result.as_of, result.age_seconds, counts(result)) == (None, None, None, (0, 0, 0))
    assert sync(db).source is None


def test_while_brokers_are_offline_the_newest_stored_snapshot_is_taken(db: Database) -> None:
    cover(db, 0, 4)
    snapshot(db, 2, {STOCK: "9", "8314": "3"})
    snapshot(db, 3, {STOCK: "9"})
    result = offline(db)
    assert counts(result) == (1, 0, 0)
    assert (result.source, result.as_of, result.age_seconds) == ("IB", at(day(3), 22), 14 * 3600)
    assert [row[1] for row in rows(db)] == [D(1)]


def test_a_stored_snapshot_that_holds_nothing_closes_and_an_unreadable_one_does_not(db: Database) -> None:
    cover(db, 0, 4)
    sync(db, held(100, as_of=at(day(2), 12)))
    told(db, 3)
    query(
        db.url,
        "INSERT INTO quarantine (quarantine_uid, stage, broker, kind, account_id, business_date, reason_code, "
        "reason, payload, first_seen_at) VALUES ('q', 'normalize', 'IB', 'positions', %s, %s, 'x', 'x', '{}', now())",
        ACCOUNT,
        day(3),
    )
    assert counts(offline(db)) == (0, 0, 0)
    assert [row[3] for row in rows(db)] == ["OPEN"]
    query(db.url, "UPDATE quarantine SET resolved_at = now()")
    assert counts(offline(db)) == (0, 0, 1)


def told(db: Database, on: int) -> None:
    """A statement that lists no position."""
    query(
        db.url,
        "INSERT INTO positions_raw_ib (account_id, record_key, business_date, payload, fetched_at, load_id) "
        "SELECT %s, 'p', %s, '{}', %s, max(load_id) FROM loads",
        ACCOUNT,
        day(on),
        at(day(on), 20),
    )


def test_without_any_snapshot_the_ledger_alone_tells_the_book(db: Database) -> None:
    cover(db, 0, 4)
    Book([move("A", 0, 100, 10), move("B", 1, 50, 13), move("C", 2, -30, 14)]).store(db)
    result = offline(db)
    assert (result.source, counts(result), result.differences[0].ledger_qty) == ("LEDGER", (1, 0, 0), D(120))
    assert rows(db) == [(f"{ACCOUNT}_A", D(120), D(11), "OPEN", None, D("118.7"), None, "LEDGER")]
    assert counts(offline(db)) == (0, 0, 0)


def test_the_ledger_names_and_prices_what_the_broker_holds(db: Database) -> None:
    cover(db, 0, 4)
    sync(db, held(100))
    Book([move("A", 0, 100, 10)]).store(db)
    assert counts(sync(db, held(100))) == (0, 1, 0)
    assert rows(db) == [(f"{ACCOUNT}_A", D(100), D(10), "OPEN", D(7), D(0), None, "IB")]


def test_a_closed_position_learns_its_outcome_from_the_ledger_when_that_is_known(db: Database) -> None:
    cover(db, 0, 4)
    Book([move("A", 0, 100, 10)]).store(db)
    sync(db, held(100))
    assert counts(sync(db)) == (0, 0, 1)
    assert rows(db)[0][3:7] == ("CLOSED", None, None, None)
    Book([move("A", 0, 100, 10), move("B", 3, -100, 12)]).store(db)
    assert counts(sync(db)) == (0, 1, 0)
    assert rows(db)[0][3:7] == ("CLOSED", None, D(198), D(12))
    assert counts(sync(db)) == (0, 0, 0)


def test_a_position_that_was_closed_and_opened_again_between_is_another_one(db: Database) -> None:
    cover(db, 0, 4)
    first = [move("A", 0, 100, 10)]
    Book(first).store(db)
    sync(db, held(100))
    Book([*first, move("B", 2, -100, 12), move("C", 3, 40, 11)]).store(db)
    assert counts(sync(db, held(40))) == (1, 0, 1)
    assert [row[:4] for row in rows(db)] == [
        (f"{ACCOUNT}_A", D(100), D(10), "CLOSED"),
        (f"{ACCOUNT}_C", D(40), D(11), "OPEN"),
    ]


def test_a_position_that_turned_from_long_to_short_is_another_one(db: Database) -> None:
    cover(db, 0, 4)
    sync(db, held(100))
    later = NOON + timedelta(minutes=5)
    assert counts(sync(db, held(-20, as_of=later))) == (1, 0, 1)
    assert sorted(row[1] for row in rows(db)) == [D(-20), D(100)]


def test_synced_at_is_when_the_broker_told_it_last(db: Database) -> None:
    cover(db, 0, 4)
    sync(db, held(100))
    later = NOON + timedelta(minutes=5)
    assert counts(sync(db, held(100, as_of=later))) == (0, 0, 0)
    assert query(db.url, "SELECT synced_at, opened_at FROM positions") == [(later, NOON)]


def test_it_syncs_at_the_start_when_notified_and_after_each_interval(db: Database) -> None:
    cover(db, 0, 4)
    asked = threading.Semaphore(0)

    def ask(_account: str) -> Sequence[BrokerPosition]:
        asked.release()
        return [held(100)]

    service = PositionSyncService(db, ask)
    service.start(interval=3600)
    try:
        assert asked.acquire(timeout=10)
        service.notify()
        assert asked.acquire(timeout=10)
        assert not asked.acquire(timeout=0.2)
    finally:
        service.stop()
    service.start(interval=0.05)
    try:
        assert all(asked.acquire(timeout=10) for _ in range(3))
    finally:
        service.stop()
    time.sleep(0.1)
    while asked.acquire(blocking=False):
        pass
    service.notify()
    assert not asked.acquire(timeout=0.2)


def both_at_once(one: Callable[[], object], other: Callable[[], object]) -> None:
    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(one), pool.submit(other)]:
            each.result()


def test_processes_that_sync_one_account_take_turns(db: Database, database_url: str) -> None:
    cover(db, 0, 4)
    inside = threading.Barrier(2)

    def ask(minutes: int) -> Callable[[str], Sequence[BrokerPosition]]:
        def answer(_account: str) -> Sequence[BrokerPosition]:
            with suppress(threading.BrokenBarrierError):
                inside.wait(0.3)  # both would be here, and find an empty book
            return [held(100, as_of=NOON + timedelta(minutes=minutes))]

        return answer

    with Database(database_url) as elsewhere:
        both_at_once(
            lambda: PositionSyncService(db, ask(0)).sync_positions(ACCOUNT),
            lambda: PositionSyncService(elsewhere, ask(1)).sync_positions(ACCOUNT),
        )
    assert [row[1:4] for row in rows(db)] == [(D(100), D(9), "OPEN")]


def test_an_error_of_the_engine_itself_is_unknown_and_never_flat_and_the_thread_goes_on(db: Database) -> None:
    cover(db, 0, 4)
    sync(db, held(100))
    asked = threading.Semaphore(0)

    def ask(_account: str) -> Sequence[BrokerPosition]:
        asked.release()
        raise TimeoutError("the gateway said nothing")

    service = PositionSyncService(db, ask)
    result = service.sync_positions(ACCOUNT)
    assert (result.error, counts(result)) == ("TimeoutError: the gateway said nothing", (0, 0, 0))
    assert rows(db)[0][3] == "OPEN"
    service.start(interval=0.01)
    try:
        assert all(asked.acquire(timeout=10) for _ in range(4))
    finally:
        service.stop()


def test_an_account_that_cannot_be_synced_does_not_stop_the_others(db: Database) -> None:
    cover(db, 0, 4)
    cover(db, 0, 4, account="U2")

    def ask(account: str) -> Sequence[BrokerPosition]:
        unreadable = cast("list[BrokerPosition]", [None])
        return unreadable if account == ACCOUNT else [replace(held(7), account_id=account)]

    results = PositionSyncService(db, ask).sync_all()
    assert results[ACCOUNT].error
    assert counts(results["U2"]) == (1, 0, 0)


def test_what_a_broker_told_beside_the_loads_stands_where_it_is_the_newest(db: Database) -> None:
    cover(db, 0, 4)
    snapshot(db, 4, {STOCK: "9"})
    own = {"symbol": SYMBOL, "qty": 70, "avg_cost": D("9.5"), "unrealized_pnl": 3, "currency": "USD"}
    store = Store(db)
    early, late, now = NOON - timedelta(days=30), NOON + timedelta(hours=23), NOON + timedelta(days=1)
    store.save_position_snapshot("IB", ACCOUNT, [own | {"qty": 2}], captured_at=early, source="IB")
    assert offline(db).as_of != early  # what was loaded is newer
    store.save_position_snapshot("IB", ACCOUNT, [own], captured_at=late, source="IB")
    store.save_position_snapshot("IB", ACCOUNT, [own | {"qty": 5}], captured_at=now, source="ENGINE")
    service = PositionSyncService(db, now=lambda: now)
    result = service.sync_positions(ACCOUNT)
    assert (result.source, result.as_of, result.age_seconds) == ("IB", late, 3600)
    assert [row[1:5] for row in rows(db)] == [(D(70), D("9.5"), "OPEN", D(3))]
    store.save_position_snapshot("IB", "U9", [own], captured_at=late, source="IB")
    assert set(service.sync_all()) == {ACCOUNT, "U9"}
    assert len(PositionRepository(db).get_open_positions("U9")) == 1


# --- the repositories -------------------------------------------------------------------------------------------


def test_the_book_can_be_read_changed_and_closed_by_hand(db: Database) -> None:
    cover(db, 0, 4)
    sync(db, held(100), held(5, "US.B"))
    book = PositionRepository(db)
    assert [row.symbol for row in book.get_open_positions()] == ["US.B", SYMBOL]
    assert book.get_open_positions("U2") == []
    one = book.get_position("US.B", ACCOUNT)
    assert isinstance(one, BookPosition)
    assert one.broker is Broker.IB
    assert book.update_position(one.position_id, quantity=D(6))
    assert book.close_position(one.position_id, exit_price=D(3))
    closed = book.get_position("US.B")
    assert closed is not None
    assert (closed.quantity, closed.exit_price, closed.status, closed.realized_pnl) == (D(6), D(3), "CLOSED", None)
    assert closed.closed_at is not None
    assert not book.update_position("nobody", quantity=D(1))
    with pytest.raises(TypeError):
        book.update_position(one.position_id, qty=D(1))


def test_two_that_change_different_columns_at_once_keep_what_the_other_changed(db: Database) -> None:
    cover(db, 0, 4)
    sync(db, held(100))
    book, trades = PositionRepository(db), TradeRepository(db)
    name = rows(db)[0][0]
    trades.insert(trip("1", "10", on=NOON.date()))

    def change_both(n: Decimal) -> None:
        both_at_once(
            lambda: book.update_position(name, unrealized_pnl=n), lambda: book.update_position(name, entry_price=n)
        )
        both_at_once(lambda: trades.update("1", realized_pnl=n), lambda: trades.update("1", fees=n))

    for n in map(D, range(1, 30)):
        change_both(n)
        position, told = book.find_by_id(name), trades.get_by_id("1")
        assert position is not None
        assert told is not None
        assert (position.unrealized_pnl, position.entry_price, told.realized_pnl, told.fees) == (n, n, n, n)


def trip(trade_id: str, gain: str | None, *, on: date, currency: str = "USD", source: str = "engine") -> RoundTrip:
    return RoundTrip(
        trade_id=trade_id,
        broker=None,
        account_id=None,
        instrument_id=None,
        symbol="US.B",
        underlying=None,
        asset_class=None,
        side=Side.BUY,
        quantity=D(1),
        entry_price=D(1),
        exit_price=D(2),
        entry_at=None,
        exit_at=None,
        entry_date=on,
        exit_date=on,
        realized_pnl=None if gain is None else D(gain),
        fees=D(1),
        currency=currency,
        status="CLOSED",
        strategy_uid=None,
        source=source,
    )


def test_an_engine_keeps_its_own_round_trips_beside_those_of_the_ledger(db: Database) -> None:
    today = datetime.now(UTC).date()
    trades = TradeRepository(db)
    assert trades.insert(trip("1", "10", on=today))
    assert not trades.insert(trip("1", "99", on=today))
    assert trades.insert(trip("2", "-4", on=today - timedelta(days=3)))
    assert trades.insert(trip("3", None, on=today - timedelta(days=5)))
    assert trades.insert(trip("4", "2", on=today - timedelta(days=6), currency="HKD"))
    assert trades.insert(trip("5", "1000", on=today - timedelta(days=40)))
    assert trades.update("1", realized_pnl=D(11))
    assert not trades.update("nobody", realized_pnl=D(11))
    assert trades.get_by_id("1") == trip("1", "11", on=today)
    assert [row.trade_id for row in trades.get_recent(2)] == ["1", "2"]
    assert len(trades.get_by_symbol("US.B")) == 5
    told = trades.get_statistics(30)
    assert (told.total_trades, told.winning_trades, told.losing_trades) == (4, 2, 1)
    assert told.win_rate == D("0.6666666667")
    assert told.realized_pnl == {"USD": D(7), "HKD": D(2)}
    assert trades.get_statistics(1).win_rate == 1


def test_round_trips_of_the_ledger_are_read_only(db: Database) -> None:
    Book([move("A", 0, 100, 10)]).store(db)
    trades = TradeRepository(db)
    with pytest.raises(ValueError, match="ledger"):
        trades.update(f"{ACCOUNT}_A", quantity=D(1))
    with pytest.raises(ValueError, match="ledger"):
        trades.insert(trip("9", "1", on=day(0), source="LEDGER"))
    told = trades.get_by_id(f"{ACCOUNT}_A")
    assert told is not None
    with pytest.raises(ValueError, match="ledger"):
        trades.insert(replace(told, trade_id="10"))
