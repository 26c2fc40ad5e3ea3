"""Fills, ledger and broker beside one another: which pair breaks, told once for an instrument."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.ledger import BasisSource
from apex_pipeline.domain.models import Broker, TradeKind
from apex_pipeline.store.db import Database
from tests.store import check_rows as rows
from tests.store.check_rows import CONID, at, compared, findings
from tests.store.position_rows import (
    FRIDAY,
    FUTU,
    FUTU_TOLD,
    MONDAY,
    SATURDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    WEEK,
    held,
    snapshots,
    stop,
    told,
    traded,
    write,
)
from tests.store.rows import query

THREE_WAY = CheckName.FILLS_LEDGER_AND_BROKER_AGREE
APPLE = f"AAPL {CONID}"


def agreeing(db: Database) -> None:
    """100 bought on Monday, 40 of them sold on Wednesday, and all sides say so on every day of the week."""
    rows.covered(db, MONDAY, FRIDAY)
    snapshots(db, Broker.IB, WEEK)
    traded(db, "a", 100, MONDAY)
    traded(db, "b", -40, WEDNESDAY)
    write(db, rows.lot("a", 100, 1000, MONDAY, remaining_qty=Decimal(60), remaining_cost=Decimal(600)))
    write(db, rows.realized("b:a", 40, WEDNESDAY, close_trade_uid="b", lot_uid="a"))
    for day in WEEK:
        write(db, held(100 if day < WEDNESDAY else 60, day), rows.position(100 if day < WEDNESDAY else 60, day))


def pairs(db: Database) -> list[tuple[date | None, list[str]]]:
    """The pairs that break, by day."""
    return [(one.business_date, one.evidence["pairs"]) for one in findings(db, THREE_WAY, MONDAY, FRIDAY)]


def test_where_all_sides_agree_there_is_no_finding(db: Database) -> None:
    agreeing(db)
    assert findings(db, THREE_WAY, MONDAY, FRIDAY) == []
    assert [findings(db, THREE_WAY, day) for day in WEEK] == [[]] * 5
    assert compared(db, THREE_WAY, MONDAY, FRIDAY) == 5


DAMAGES: tuple[tuple[Any, str, date, list[str]], ...] = (
    (
        "UPDATE broker_positions SET qty = qty + 1 WHERE business_date >= '2026-03-04'",
        "61", WEDNESDAY, ["fills <> broker", "ledger <> broker"],
    ),
    (
        "UPDATE positions_daily SET qty = qty + 1 WHERE business_date >= '2026-03-04'",
        "60", WEDNESDAY, ["fills <> ledger", "ledger <> broker", "ledger <> lots"],
    ),
    ("DELETE FROM trades_norm WHERE trade_uid = 'b'", "60", WEDNESDAY, ["fills <> broker", "fills <> ledger"]),
    ("UPDATE lots SET qty = 90, remaining_qty = 50", "100", MONDAY, ["ledger <> lots"]),
    ("UPDATE lots SET remaining_qty = 50", "60", WEDNESDAY, ["lots <> what is left of them"]),
)  # fmt: skip


@pytest.mark.parametrize(("damage", "expected", "day", "broken"), DAMAGES)
def test_the_pairs_that_break_are_named_once_on_the_day_on_which_they_did(
    db: Database, damage: Any, expected: str, day: date, broken: list[str]
) -> None:
    agreeing(db)
    query(db.url, damage)
    (found,) = findings(db, THREE_WAY, MONDAY, FRIDAY)
    assert (found.subject, found.business_date, found.expected) == (APPLE, day, Decimal(expected))
    assert (found.severity, found.evidence["pairs"]) == (Severity.ERROR, broken)
    assert findings(db, THREE_WAY, day) == [found], "a run of this day alone says the same"


def test_a_position_that_one_side_alone_knows_has_its_own_cause(db: Database) -> None:
    agreeing(db)
    write(db, rows.position(5, THURSDAY, broker_position_id="8", symbol="NEW"))
    found = [(one.subject, one.business_date, one.cause) for one in findings(db, THREE_WAY, MONDAY, FRIDAY)]
    assert found == [("NEW 8", THURSDAY, "MISSING_B")]
    query(db.url, "DELETE FROM broker_positions WHERE symbol = 'NEW' OR business_date = '2026-03-06'")
    assert told(findings(db, THREE_WAY, MONDAY, FRIDAY)) == [(APPLE, FRIDAY, 0, 60, "MISSING_A")]


def test_a_piece_that_was_closed_of_no_known_lot_closes_a_position_all_the_same(db: Database) -> None:
    rows.covered(db, MONDAY, FRIDAY)
    snapshots(db, Broker.IB, [MONDAY])
    traded(db, "a", -5, MONDAY)
    write(db, held(-5, MONDAY), rows.position(-5, MONDAY))
    assert pairs(db) == [(MONDAY, ["ledger <> lots"])]
    write(db, rows.realized("a:?", 5, MONDAY, close_trade_uid="a", basis_source=BasisSource.UNKNOWN))
    assert pairs(db) == []


def test_lots_are_not_compared_after_the_ledger_stopped(db: Database) -> None:
    agreeing(db)
    query(db.url, "UPDATE lots SET qty = 90, remaining_qty = 50")
    write(db, stop(MONDAY))
    assert pairs(db) == []


def test_a_snapshot_of_the_weekend_is_compared_with_the_last_known_day(db: Database) -> None:
    agreeing(db)
    snapshots(db, Broker.IB, [SATURDAY])
    write(db, rows.position(60, SATURDAY))
    assert findings(db, THREE_WAY, MONDAY, SATURDAY) == []


def test_what_moved_after_the_snapshot_of_the_day_is_no_difference(db: Database) -> None:
    snapshots(db, Broker.FUTU, [MONDAY])
    traded(db, "a", 100, MONDAY, **FUTU)
    traded(db, "b", 50, MONDAY, at(MONDAY, 23), **FUTU)
    write(db, held(150, MONDAY, **FUTU), rows.position(100, MONDAY, **FUTU_TOLD))
    write(db, rows.lot("a", 100, 1, MONDAY, **FUTU), rows.lot("b", 50, 1, MONDAY, **FUTU))
    assert pairs(db) == []


def test_a_trade_that_is_about_to_be_cancelled_is_left_to_the_check_of_positions(db: Database) -> None:
    agreeing(db)
    query(db.url, "UPDATE broker_positions SET qty = qty + 7 WHERE business_date = '2026-03-05'")
    assert pairs(db) == [(THURSDAY, ["fills <> broker", "ledger <> broker"])]
    busted = rows.trade("x", 7, THURSDAY, effective=False, report_date=THURSDAY)
    write(db, busted, rows.trade("x-", -7, THURSDAY, effective=False, report_date=FRIDAY, kind=TradeKind.CANCEL))
    assert pairs(db) == []


def test_an_option_of_futu_that_just_ended_is_left_to_the_check_of_positions(db: Database) -> None:
    snapshots(db, Broker.FUTU, (MONDAY, TUESDAY))
    traded(db, "a", 1, MONDAY, **FUTU)
    traded(db, "b", -1, TUESDAY, at(TUESDAY, 23), **FUTU)
    write(db, held(1, MONDAY, **FUTU), rows.position(1, MONDAY, **FUTU_TOLD))
    write(
        db,
        rows.lot("a", 1, 1, MONDAY, **FUTU),
        rows.realized("b:a", 1, TUESDAY, close_trade_uid="b", lot_uid="a", **FUTU),
    )
    query(db.url, "UPDATE lots SET remaining_qty = 0")
    assert pairs(db) == [(TUESDAY, ["fills <> broker", "ledger <> broker"])]
    query(db.url, "UPDATE trades_norm SET kind = 'EXPIRATION' WHERE trade_uid = 'b'")
    assert pairs(db) == []


def test_the_check_is_in_the_catalogue() -> None:
    assert CHECKS[THREE_WAY].check_id == "D16"
