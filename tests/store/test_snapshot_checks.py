"""The checks of signals and snapshots: what an engine relies on after a restart is what the ledger says."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.domain.ledger import MovementKind
from apex_pipeline.domain.market import PositionSnapshot, SignalStatus, TradeSignal
from apex_pipeline.domain.models import Broker, Side
from apex_pipeline.store.coverage import rows_by_day
from apex_pipeline.store.db import Database
from tests.store import check_rows as rows
from tests.store.check_rows import ACCOUNT, CONID, compared, covered, findings, loaded
from tests.store.market_rows import APPLE, moment, moved, snapshot, write
from tests.store.rows import query

SIGNALS = CheckName.SIGNALS_ARE_UNIQUE_AND_STABLE
REPLAY = CheckName.SNAPSHOTS_EQUAL_THE_LEDGER
WARM = CheckName.WARM_START_EQUALS_COLD_START
MONDAY, TUESDAY, WEDNESDAY = date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4)
FRIDAY, NEXT_MONDAY = date(2026, 3, 6), date(2026, 3, 9)
OTHER = "4815747"
SECOND = timedelta(seconds=1)


# Signals ------------------------------------------------------------------------------------------------------


def signal(uid: str, key: str | None, on: date = MONDAY, **values: Any) -> TradeSignal:
    usual: dict[str, Any] = {
        "source": "breakout", "symbol": APPLE, "side": Side.BUY, "strength": Decimal("0.7"), "payload": {"stop": 9},
        "status": SignalStatus.PENDING, "created_at": moment(on, 15), "executed_at": None,
    }  # fmt: skip
    return TradeSignal(signal_uid=uid, signal_key=key, **(usual | values))


def test_signals_with_a_key_each_are_stable(db: Database) -> None:
    first = signal("1", "k1")
    write(db, first, signal("2", "k2"), signal("3", "k1", source="reversal", side=Side.SELL))
    write(db, first, replace(signal("2", "k2"), status=SignalStatus.EXECUTED, executed_at=moment(TUESDAY, 9)))
    assert findings(db, SIGNALS, MONDAY, TUESDAY) == []
    assert compared(db, SIGNALS, MONDAY) == 3
    assert rows_by_day(db, "trade_signals", MONDAY, TUESDAY) == {MONDAY: 3}


@pytest.mark.parametrize(
    ("said", "differs"),
    [
        ({"side": Side.SELL}, ["side"]),
        ({"side": None}, ["side"]),
        ({"symbol": "US.KO"}, ["symbol"]),
        ({"strength": Decimal("0.8")}, ["strength"]),
        ({"payload": {"stop": 8}, "strength": None}, ["payload", "strength"]),
    ],
)
def test_a_signal_told_otherwise_by_a_later_run_is_a_finding_of_that_day(
    db: Database, said: dict[str, Any], differs: list[str]
) -> None:
    write(db, signal("1", "k"), signal("2", "k", TUESDAY, **said))
    (found,) = findings(db, SIGNALS, MONDAY, WEDNESDAY)
    assert (found.subject, found.business_date, found.expected, found.actual) == ("breakout k", TUESDAY, 1, 2)
    assert (found.severity, found.cause, found.evidence["differs"]) == (Severity.ERROR, "PIPELINE", differs)
    assert found.evidence["rows"] == ["trade_signals/1", "trade_signals/2"]
    assert found.evidence["first"]["strength"] == "0.7"
    assert findings(db, SIGNALS, TUESDAY) == [found], "what came before the asked day counts"
    assert findings(db, SIGNALS, MONDAY) == findings(db, SIGNALS, WEDNESDAY) == []


def test_the_same_signal_twice_would_be_acted_on_twice(db: Database) -> None:
    write(db, signal("1", "k", strength=Decimal("0.70")), signal("2", "k", created_at=moment(MONDAY, 16)))
    (found,) = findings(db, SIGNALS, MONDAY)
    assert (found.actual, found.cause, found.evidence["differs"]) == (2, "DUPLICATE", [])


def test_signals_without_a_key_are_not_compared(db: Database) -> None:
    write(db, signal("1", None), signal("2", None, side=Side.SELL))
    assert (findings(db, SIGNALS, MONDAY), compared(db, SIGNALS, MONDAY)) == ([], 0)


def test_a_signal_needs_only_what_an_engine_knows(db: Database) -> None:
    query(db.url, "INSERT INTO trade_signals (source, symbol, side) VALUES ('breakout', 'US.AAPL', 'BUY')")
    (row,) = query(db.url, "SELECT status, payload, signal_key, length(signal_uid) FROM trade_signals")
    assert row == ("PENDING", {}, None, 36)


# Snapshots made from the ledger -------------------------------------------------------------------------------


def book(db: Database) -> tuple[datetime, datetime, datetime]:
    """Three days of trades: 100, then 50 of another, then 40 less; returns the instants."""
    instants = moment(MONDAY, 15), moment(TUESDAY, 15), moment(WEDNESDAY, 15)
    write(
        db,
        moved("M0", 100, instants[0]),
        moved("M1", 50, instants[1], OTHER, "US.KO"),
        moved("M2", -40, instants[2]),
    )
    return instants


def test_snapshots_that_the_ledger_made_equal_it(db: Database) -> None:
    first, second, third = book(db)
    write(
        db,
        snapshot(moment(MONDAY, 10), {}, (moment(MONDAY, 9), 0)),
        snapshot(moment(MONDAY, 20), {CONID: 100}, (first, 1)),
        snapshot(moment(TUESDAY, 20), {CONID: "100.00", OTHER: 50}, (second, 2)),
        snapshot(moment(WEDNESDAY, 20), {CONID: 60, OTHER: 50}, (third, 3)),
        snapshot(moment(WEDNESDAY, 21), {"US.KO": 50, APPLE: 60}, (third, 3)),
    )
    for check in (REPLAY, WARM):
        assert findings(db, check, MONDAY, FRIDAY) == []
    assert compared(db, REPLAY, MONDAY, FRIDAY) == 5
    assert (compared(db, WARM, MONDAY, FRIDAY), compared(db, WARM, TUESDAY)) == (1, 0), (
        "only the newest is started from"
    )
    assert rows_by_day(db, "position_snapshots", MONDAY, FRIDAY) == {MONDAY: 2, TUESDAY: 1, WEDNESDAY: 2}


@pytest.mark.parametrize(
    ("held", "expected", "actual", "told"),
    [
        ({CONID: 61, OTHER: 50}, 2, 1, [(APPLE, "60", "61")]),
        ({CONID: -60, OTHER: -50}, 2, 0, [(APPLE, "60", "-60"), ("US.KO", "50", "-50")]),
        ({CONID: 60}, 2, 1, [("US.KO", "50", "0")]),
        ({CONID: 60, OTHER: 50, "999": 5}, 3, 2, [("999", "0", "5")]),
        ({CONID: "60.0001", OTHER: 50}, 2, 1, [(APPLE, "60", "60.0001")]),
        ({CONID: None, OTHER: 50}, 2, 1, [(APPLE, "60", None)]),
        ({CONID: "about 60", OTHER: 50}, 2, 1, [(APPLE, "60", None)]),
    ],
)
def test_a_snapshot_of_what_the_ledger_never_held_is_a_finding(
    db: Database, held: dict[str, Any], expected: int, actual: int, told: list[tuple[str, str, str | None]]
) -> None:
    third = book(db)[2]
    write(db, snapshot(moment(WEDNESDAY, 20), held, (third, 3)))
    (found,) = findings(db, REPLAY, MONDAY, FRIDAY)
    assert (found.broker, found.account_id, found.subject) == (Broker.IB, ACCOUNT, f"positions of {ACCOUNT}")
    assert (found.business_date, found.expected, found.actual) == (WEDNESDAY, expected, actual)
    assert (found.severity, found.cause) == (Severity.ERROR, "PIPELINE")
    differences = [(one["symbol"], one["ledger"], one["snapshot"]) for one in found.evidence["differences"]]
    assert [(APPLE if symbol == CONID else "US.KO" if symbol == OTHER else symbol, *rest)
            for symbol, *rest in differences] == told  # fmt: skip
    key = f"position_snapshots/IB/{ACCOUNT}/2026-03-04T20:00:00+00:00"
    assert found.evidence["rows"][0] == key
    assert found.evidence["set_right"] == [
        {"do": "delete", "table": "position_snapshots",
         "key": {"broker": "IB", "account_id": ACCOUNT, "captured_at": "2026-03-04T20:00:00+00:00"}}
    ]  # fmt: skip
    (warm,) = findings(db, WARM, MONDAY, FRIDAY)
    assert (warm.business_date, warm.expected, warm.actual, warm.cause) == (WEDNESDAY, expected, actual, "PIPELINE")
    assert warm.evidence["rows"][0] == key


def test_a_snapshot_that_lacks_the_newest_movements_is_stale(db: Database) -> None:
    second, third = book(db)[1:]
    write(db, snapshot(moment(WEDNESDAY, 20), {CONID: 100, OTHER: 50}, (third, 3)))
    (found,) = findings(db, REPLAY, WEDNESDAY)
    assert (found.cause, found.evidence["stale_since"]) == ("TIMING", third.isoformat())
    assert [one.cause for one in findings(db, WARM, WEDNESDAY)] == ["TIMING"]
    query(db.url, "UPDATE position_snapshots SET positions = positions - 1, position_count = 1")
    (found,) = findings(db, REPLAY, WEDNESDAY)
    assert (found.cause, found.evidence["stale_since"]) == ("TIMING", second.isoformat())
    query(db.url, """UPDATE position_snapshots SET positions = '[{"symbol": "US.KO", "qty": 50}]'""")
    assert [one.cause for one in findings(db, REPLAY, WEDNESDAY)] == ["PIPELINE"], "50 came after the 100"


def test_a_snapshot_that_is_ahead_of_its_watermark_is_a_matter_of_time(db: Database) -> None:
    second = book(db)[1]
    write(db, snapshot(moment(WEDNESDAY, 20), {CONID: 60, OTHER: 50}, (second, 2)))
    assert [one.cause for one in findings(db, REPLAY, WEDNESDAY)] == ["TIMING"]
    (warm,) = findings(db, WARM, WEDNESDAY)
    assert [(one["warm"], one["cold"]) for one in warm.evidence["differences"]] == [("20", "60")], "counted twice"


def test_what_moved_since_the_newest_snapshot_makes_the_positions_of_now(db: Database) -> None:
    first = book(db)[0]
    write(db, snapshot(moment(MONDAY, 20), {CONID: 100}, (first, 1)))
    assert (findings(db, WARM, MONDAY), compared(db, WARM, MONDAY)) == ([], 1)


def test_a_snapshot_that_counts_other_positions_than_it_holds_is_cut(db: Database) -> None:
    third = book(db)[2]
    write(db, snapshot(moment(WEDNESDAY, 20), {CONID: 60, OTHER: 50}, (third, 3), position_count=3))
    (found,) = findings(db, REPLAY, WEDNESDAY)
    assert (found.expected, found.actual, found.cause) == (3, 2, "PIPELINE")


def test_a_difference_that_lasts_is_told_once_and_again_when_it_changes(db: Database) -> None:
    third = book(db)[2]
    wrong, worse = {CONID: 61, OTHER: 50}, {CONID: 61, OTHER: 49}
    days = [(WEDNESDAY, wrong), (date(2026, 3, 5), wrong), (FRIDAY, worse), (NEXT_MONDAY, {CONID: 60, OTHER: 50})]
    write(db, *(snapshot(moment(day, hour), held, (third, 3)) for day, held in days for hour in (18, 19)))
    found = findings(db, REPLAY, MONDAY, NEXT_MONDAY)
    assert [(one.business_date, one.actual, one.evidence["snapshots"]) for one in found] == [
        (WEDNESDAY, 1, 4),
        (FRIDAY, 0, 2),
    ]
    assert [len(one.evidence["set_right"]) for one in found] == [4, 2]
    by_day = [findings(db, REPLAY, day) for day, _ in days]
    assert [len(one) for one in by_day] == [1, 0, 1, 0], "a run of one day tells the same"
    query(db.url, "DELETE FROM position_snapshots WHERE captured_at < '2026-03-09'")
    assert findings(db, REPLAY, MONDAY, NEXT_MONDAY) == findings(db, WARM, MONDAY, NEXT_MONDAY) == []


def test_a_ledger_that_was_completed_behind_the_watermark_is_another_one(db: Database) -> None:
    third = book(db)[2]
    write(db, snapshot(moment(WEDNESDAY, 20), {CONID: 60}, (third, 2)))
    for check in (REPLAY, WARM):
        assert (findings(db, check, WEDNESDAY), compared(db, check, WEDNESDAY)) == ([], 0)


def test_a_ledger_that_lost_movements_is_noticed_unless_something_was_loaded_since(db: Database) -> None:
    third = book(db)[2]
    write(db, snapshot(moment(WEDNESDAY, 20), {CONID: 60, OTHER: 50}, (third, 3)))
    query(db.url, "DELETE FROM position_movements WHERE movement_uid = 'M1'")
    for check in (REPLAY, WARM):
        assert [(one.expected, one.actual) for one in findings(db, check, WEDNESDAY)] == [(2, 1)]
    load = loaded(db, Broker.IB, "ib_flex", WEDNESDAY, WEDNESDAY)
    query(db.url, "UPDATE loads SET new_versions = 1, records = 1 WHERE load_id = %s", load)
    for check in (REPLAY, WARM):
        assert (findings(db, check, WEDNESDAY), compared(db, check, WEDNESDAY)) == ([], 0)


def test_a_trade_that_its_broker_told_otherwise_since_is_no_fault_of_the_snapshot(db: Database) -> None:
    first = moment(MONDAY, 15)
    write(db, moved("M0", 100, first), rows.trade("M0", 100, MONDAY, executed_at=first, broker_trade_id="T0"))
    write(db, snapshot(moment(MONDAY, 20), {CONID: 90}, (first, 1)))
    assert len(findings(db, REPLAY, MONDAY)) == len(findings(db, WARM, MONDAY)) == 1
    query(
        db.url,
        "INSERT INTO raw_versions (table_name, account_id, record_key, business_date, payload, fetched_at, load_id, "
        "superseded_at) VALUES ('trades_raw_ib', %s, 'T0', %s, '{}', now(), 1, %s)",
        ACCOUNT,
        MONDAY,
        moment(TUESDAY, 6),
    )
    assert findings(db, REPLAY, MONDAY) == findings(db, WARM, MONDAY) == []


# Snapshots of brokers and engines -----------------------------------------------------------------------------


def told(at: datetime, **held: int) -> PositionSnapshot:
    return snapshot(at, {CONID if name == "apple" else OTHER: qty for name, qty in held.items()})


def test_a_snapshot_of_an_engine_is_compared_once_the_broker_told_of_its_day(db: Database) -> None:
    book(db)
    write(db, told(moment(WEDNESDAY, 14), apple=100, coke=50), told(moment(WEDNESDAY, 20), apple=61, coke=50))
    for check in (REPLAY, WARM):
        assert (findings(db, check, WEDNESDAY), compared(db, check, WEDNESDAY)) == ([], 0)
    covered(db, MONDAY, WEDNESDAY)
    (found,) = findings(db, REPLAY, WEDNESDAY)
    assert (found.expected, found.actual, found.evidence["captured_at"]) == (2, 1, "2026-03-04T20:00:00+00:00")
    assert (compared(db, REPLAY, WEDNESDAY), len(findings(db, WARM, WEDNESDAY))) == (2, 1)


def test_an_account_that_holds_nothing_has_an_empty_snapshot(db: Database) -> None:
    covered(db, MONDAY, WEDNESDAY)
    write(db, told(moment(MONDAY, 20)))
    assert findings(db, REPLAY, MONDAY) == findings(db, WARM, MONDAY) == []
    assert compared(db, REPLAY, MONDAY) == compared(db, WARM, MONDAY) == 1
    write(db, told(moment(TUESDAY, 20), apple=5))
    assert [(one.expected, one.actual) for one in findings(db, REPLAY, TUESDAY)] == [(1, 0)]


@pytest.mark.parametrize("held", [{"apple": 1, "coke": 100}, {"apple": 1}, {}])
def test_an_engine_may_know_of_ends_of_options_later_than_the_ledger(db: Database, held: dict[str, int]) -> None:
    """Two ends, of Friday and of Monday; the broker books them one after the other."""
    bought, friday, monday = moment(MONDAY, 15), moment(FRIDAY, 21), moment(NEXT_MONDAY, 21)
    ends: dict[str, Any] = {"kind": MovementKind.EXPIRATION}
    write(db, moved("M0", 1, bought), moved("M1", 100, bought, OTHER, "US.KO"))
    write(db, moved("E1", -100, friday, OTHER, "US.KO", **ends), moved("E0", -1, monday, **ends))
    covered(db, MONDAY, NEXT_MONDAY)
    write(db, told(moment(NEXT_MONDAY, 22), **held))
    assert findings(db, REPLAY, NEXT_MONDAY) == findings(db, WARM, NEXT_MONDAY) == []
    query(db.url, "UPDATE position_snapshots SET captured_at = %s", moment(MONDAY, 20))
    assert len(findings(db, REPLAY, MONDAY)) == (0 if held == {"apple": 1, "coke": 100} else 1)


def test_the_trades_of_the_last_minute_may_not_have_reached_an_engine(db: Database) -> None:
    third = book(db)[2]
    covered(db, MONDAY, WEDNESDAY)
    write(db, told(third + 30 * SECOND, apple=100, coke=50))
    assert findings(db, REPLAY, WEDNESDAY) == findings(db, WARM, WEDNESDAY) == []
    write(db, told(third + 90 * SECOND, apple=100, coke=50))
    (found,) = findings(db, REPLAY, WEDNESDAY)
    assert (found.cause, found.evidence["stale_since"]) == ("TIMING", third.isoformat())


def test_currencies_and_combinations_in_a_snapshot_are_not_positions(db: Database) -> None:
    book(db)
    covered(db, MONDAY, WEDNESDAY)
    cash = [
        {"symbol": "FX.USD.HKD", "qty": "5", "asset_class": "FX"},
        {"symbol": "C", "qty": 1, "asset_class": "COMBO"},
    ]
    held = told(moment(MONDAY, 20), apple=100)
    write(db, replace(held, positions=[*held.positions, *cash], position_count=3))
    assert findings(db, REPLAY, MONDAY) == []


def test_accounts_are_compared_each_for_itself(db: Database) -> None:
    third = book(db)[2]
    write(db, rows.movement("X", 7, MONDAY, account_id="U2", moved_at=moment(MONDAY, 15)))
    write(
        db,
        snapshot(moment(WEDNESDAY, 20), {CONID: 60, OTHER: 50}, (third, 3)),
        snapshot(moment(WEDNESDAY, 20), {CONID: 7}, (moment(MONDAY, 15), 1), account_id="U2"),
    )
    assert findings(db, REPLAY, WEDNESDAY) == findings(db, WARM, WEDNESDAY) == []
    query(db.url, "UPDATE position_snapshots SET account_id = 'U3' WHERE account_id = 'U2'")
    query(db.url, "UPDATE position_snapshots SET watermark_count = NULL WHERE account_id = 'U3'")
    assert findings(db, REPLAY, WEDNESDAY) == []
    assert compared(db, REPLAY, WEDNESDAY) == 1, "nothing was told of the account"


def test_an_instant_is_of_its_day_in_utc(db: Database) -> None:
    first = moment(MONDAY, 15)
    write(db, moved("M0", 100, first))
    write(db, snapshot(datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC), {CONID: 1}, (first, 1)))
    assert [one.business_date for one in findings(db, REPLAY, MONDAY, TUESDAY)] == [MONDAY]
    assert findings(db, REPLAY, TUESDAY) == []
