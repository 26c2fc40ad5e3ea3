"""Open lots beside those of Interactive Brokers: what differs is told once, when it came to differ."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.ledger import Direction, Lot, LotMove
from apex_pipeline.domain.models import Broker, Instrument
from apex_pipeline.store.db import Database
from tests.store import check_rows as rows
from tests.store.check_rows import ACCOUNT, CONID, at, compared, differences, findings, made
from tests.store.position_rows import (
    FRIDAY,
    MONDAY,
    NEXT_MONDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    WEEK,
    snapshots,
    stop,
    told,
    write,
)
from tests.store.rows import query

LOTS = CheckName.OPEN_LOTS_EQUAL_THE_BROKERS
APPLE = f"AAPL {CONID}"


@pytest.fixture
def db(db: Database) -> Database:
    """IB tells its positions on every day of a week."""
    snapshots(db, Broker.IB, (*WEEK, NEXT_MONDAY))
    write(db, made(Instrument, ib_conid=CONID))
    return db


# Lots ---------------------------------------------------------------------------------------------------------


def lot(uid: str, qty: int, cost: int | str | None, on: date, **values: Any) -> Lot:
    """An open lot of ours, whose fees are known."""
    return rows.lot(uid, qty, cost, on, **{"fees": Decimal(0), **values})


def test_open_lots_equal_on_every_day(db: Database) -> None:
    closed = {"close_trade_uid": "c", "lot_uid": "a", "opened_at": at(MONDAY), "cost_basis": Decimal("400.4")}
    write(db, lot("a", 100, "1001", MONDAY), lot("b", 50, "600.5", TUESDAY))
    write(db, rows.realized("c:a", 40, WEDNESDAY, **closed))
    write(
        db,
        rows.told_lot("1", 100, 1001, MONDAY, MONDAY),
        rows.told_lot("1", 100, 1001, TUESDAY, MONDAY),
        rows.told_lot("2", 50, "600.505", TUESDAY, TUESDAY),
        rows.told_lot("1", 60, "600.6", WEDNESDAY, MONDAY),
        rows.told_lot("2", 50, "600.5", WEDNESDAY, TUESDAY),
    )
    assert findings(db, LOTS, MONDAY, WEDNESDAY) == []
    assert findings(db, LOTS, WEDNESDAY) == []
    assert compared(db, LOTS, MONDAY, WEDNESDAY) == 5


def test_a_lot_of_another_cost_quantity_or_moment_is_a_finding(db: Database) -> None:
    write(db, lot("a", 100, 1001, MONDAY))
    write(db, rows.told_lot("1", 100, "1001.02", MONDAY, MONDAY))
    (cost,) = findings(db, LOTS, MONDAY)
    assert told([cost]) == [(APPLE, MONDAY, Decimal("1001.02"), 1001, None)]
    assert (cost.currency, cost.severity, cost.evidence["compared"]) == ("USD", Severity.ERROR, "cost")
    write(db, rows.told_lot("1", 90, "1001", MONDAY, MONDAY))
    (quantity,) = findings(db, LOTS, MONDAY)
    assert (quantity.expected, quantity.actual, quantity.currency) == (90, 100, None)
    write(db, rows.told_lot("1", 100, "1001", MONDAY, date(2026, 2, 27)))
    (moment,) = findings(db, LOTS, MONDAY)
    assert told([moment]) == [(APPLE, MONDAY, 100, 0, None)], "the oldest lot that differs"
    assert [(lot["opened_at"], lot["told_quantity"], lot["quantity"]) for lot in moment.evidence["lots"]] == [
        ("2026-02-27T15:00:00Z", "100", "0"), ("2026-03-02T15:00:00Z", "0", "100"),
    ]  # fmt: skip


def test_all_lots_of_an_instrument_that_differ_are_one_finding_and_its_costs_are_none(db: Database) -> None:
    write(db, *(lot(str(number), 10, 100, day) for number, day in enumerate(WEEK)))
    write(db, rows.told_lot("1", 10, 120, FRIDAY, TUESDAY), rows.told_lot("2", 4, 40, FRIDAY, WEDNESDAY))
    write(db, *(rows.told_lot(str(day), 10, 100, FRIDAY, day) for day in (THURSDAY, FRIDAY)))
    (found,) = findings(db, LOTS, FRIDAY)
    assert told([found]) == [(APPLE, FRIDAY, 4, 20, None)]
    assert [lot["opened_at"][:10] for lot in found.evidence["lots"]] == ["2026-03-02", "2026-03-04"]
    names = ["0", "2", f"2_{FRIDAY}"]
    assert found.evidence["rows"] == names, "the lots that differ, ours and IB's"


def test_a_lost_purchase_is_one_finding_whatever_is_sold_later(db: Database) -> None:
    """IB sells the lost lot first, we the next: another lot differs every day, by the same quantity."""
    write(db, lot("b", 100, 1000, TUESDAY))
    sold = {"close_trade_uid": "s", "lot_uid": "b", "opened_at": at(TUESDAY), "cost_basis": Decimal(400)}
    write(db, rows.realized("s:b", 40, THURSDAY, **sold))
    for day, left in zip(WEEK, (50, 50, 50, 10, 10), strict=True):
        write(db, rows.told_lot("a", left, left * 10, day, MONDAY))
        if day > MONDAY:
            write(db, rows.told_lot("b", 100, 1000, day, TUESDAY))
    query(db.url, "UPDATE broker_lots SET qty = 100 WHERE open_trade_id = 'b'")
    (found,) = findings(db, LOTS, MONDAY, FRIDAY)
    assert told([found]) == [(APPLE, MONDAY, 50, 0, "MISSING_B")]


def test_a_difference_in_quantity_that_changes_is_a_finding_again(db: Database) -> None:
    write(db, lot("a", 100, 1000, MONDAY))
    for day, qty in zip(WEEK, (100, 99, 99, 98, 100), strict=True):
        write(db, rows.told_lot("1", qty, qty * 10, day, MONDAY))
    whole = findings(db, LOTS, MONDAY, FRIDAY)
    assert [(one.business_date, one.expected) for one in whole] == [(TUESDAY, 99), (THURSDAY, 98)]
    assert [one for day in WEEK for one in findings(db, LOTS, day)] == whole


def test_a_cost_that_was_wrong_once_is_one_finding_until_the_lot_is_gone(db: Database) -> None:
    sold = {"close_trade_uid": "s", "lot_uid": "a", "opened_at": at(MONDAY)}
    write(db, lot("a", 100, 1005, MONDAY))
    write(db, rows.realized("s:a", 60, WEDNESDAY, cost_basis=Decimal(603), **sold))
    for day, qty in zip(WEEK, (100, 100, 40, 40, 40), strict=True):
        write(db, rows.told_lot("1", qty, qty * 10, day, MONDAY))
    whole = findings(db, LOTS, MONDAY, FRIDAY)
    assert told(whole) == [(APPLE, MONDAY, 1000, 1005, None)]
    assert [one for day in WEEK for one in findings(db, LOTS, day)] == whole


def test_a_fee_that_is_not_told_yet_is_the_cause_of_a_cost(db: Database) -> None:
    write(db, lot("a", 100, 1000, MONDAY, fees=None), rows.told_lot("1", 100, 1001, MONDAY, MONDAY))
    assert [one.cause for one in findings(db, LOTS, MONDAY)] == ["FEE_PENDING"]
    query(db.url, "UPDATE lots SET fees = 0")
    assert [one.cause for one in findings(db, LOTS, MONDAY)] == [None]


def test_lots_of_one_moment_are_summed(db: Database) -> None:
    write(db, lot("a", 60, 600, MONDAY), lot("b", 40, 401, MONDAY))
    write(db, rows.told_lot("1", 100, 1001, MONDAY, MONDAY))
    assert findings(db, LOTS, MONDAY) == []


def test_without_a_moment_the_whole_instrument_is_compared(db: Database) -> None:
    write(db, lot("a", 60, 600, MONDAY), lot("b", 40, 401, TUESDAY))
    write(
        db, rows.told_lot("1", 60, 600, TUESDAY, MONDAY), rows.told_lot("2", 40, 401, TUESDAY, MONDAY, opened_at=None)
    )
    assert findings(db, LOTS, TUESDAY) == []
    write(db, rows.told_lot("2", 40, 404, TUESDAY, MONDAY, opened_at=None))
    assert differences(findings(db, LOTS, TUESDAY)) == [(APPLE, 1004, 1001, None)]


def test_short_lots_and_lots_that_moved_are_followed(db: Database) -> None:
    covered = {"direction": Direction.SHORT, "close_trade_uid": "c", "lot_uid": "a", "opened_at": at(MONDAY)}
    write(
        db,
        lot("a", -100, -999, MONDAY),
        rows.realized("c:a", 40, TUESDAY, cost_basis=Decimal("-399.6"), **covered),
        made(LotMove, move_uid="m", lot_uid="a", movement_uid="x", moved_on=WEDNESDAY, qty=Decimal(-10),
             cost_basis=Decimal("-99.9")),
    )  # fmt: skip
    write(db, rows.told_lot("1", -60, "-599.4", TUESDAY, MONDAY), rows.told_lot("1", -50, "-499.5", WEDNESDAY, MONDAY))
    assert findings(db, LOTS, MONDAY, WEDNESDAY) == []
    query(db.url, "DELETE FROM lot_moves")
    assert [one.business_date for one in findings(db, LOTS, MONDAY, WEDNESDAY)] == [WEDNESDAY]


def test_an_unknown_cost_is_not_compared_but_its_quantity_is(db: Database) -> None:
    write(db, lot("a", 100, None, MONDAY), rows.told_lot("1", 100, 1001, MONDAY, MONDAY))
    assert findings(db, LOTS, MONDAY) == []
    write(db, rows.told_lot("1", 99, 1001, MONDAY, MONDAY))
    assert len(findings(db, LOTS, MONDAY)) == 1


def test_lots_after_a_stop_or_of_an_unreadable_snapshot_are_not_compared(db: Database) -> None:
    write(db, lot("a", 100, 1001, MONDAY), rows.told_lot("1", 90, 900, TUESDAY, MONDAY))
    assert len(findings(db, LOTS, TUESDAY)) == 1
    write(db, stop(TUESDAY))
    assert findings(db, LOTS, TUESDAY) == []
    query(db.url, "DELETE FROM ledger_stops")
    query(
        db.url,
        "INSERT INTO quarantine VALUES ('q', 'normalize', 'IB', 'positions', %s, 'k', %s, 'r', 'r', '{}', NULL, now())",
        ACCOUNT,
        TUESDAY,
    )
    assert (findings(db, LOTS, TUESDAY), compared(db, LOTS, TUESDAY)) == ([], 0)


def test_a_closing_that_is_reported_later_is_no_difference_before(db: Database) -> None:
    closed = {"close_trade_uid": "c", "lot_uid": "a", "opened_at": at(MONDAY), "cost_basis": Decimal(1001)}
    write(db, lot("a", 100, 1001, MONDAY), rows.realized("c:a", 100, FRIDAY, **closed))
    write(db, rows.told_lot("1", 100, 1001, FRIDAY, MONDAY))
    assert len(findings(db, LOTS, FRIDAY)) == 1
    write(db, rows.trade("c", -100, FRIDAY, report_date=NEXT_MONDAY))
    assert findings(db, LOTS, FRIDAY) == []


def test_the_check_is_in_the_catalogue() -> None:
    assert CHECKS[LOTS].check_id == "C03"


def test_an_instrument_without_the_lots_of_the_report_before_lacks_them_while_it_is_held(db: Database) -> None:
    other: dict[str, Any] = {"instrument_id": "77", "symbol": "KO"}
    write(db, lot("a", 100, 1000, MONDAY), lot("k", 5, 50, MONDAY, **other))
    write(db, *(rows.told_lot("k", 5, 50, day, MONDAY, **other) for day in (MONDAY, TUESDAY)))
    write(db, rows.told_lot("a", 100, 1000, MONDAY, MONDAY))
    assert findings(db, LOTS, MONDAY, TUESDAY) == [], "nobody says that it is still held"
    write(db, rows.position(100, TUESDAY))
    assert differences(findings(db, LOTS, MONDAY, TUESDAY)) == [("AAPL 265598", 0, 100, "MISSING_A")]
    write(db, rows.told_lot("a", 100, 1000, TUESDAY, MONDAY))
    assert findings(db, LOTS, MONDAY, TUESDAY) == []
