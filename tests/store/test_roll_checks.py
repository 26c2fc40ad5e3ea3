"""The position ledger beside what it is made of: days roll, lives end at zero, corporate actions move positions."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.ledger import MovementKind, PositionEventKind
from apex_pipeline.domain.models import AssetClass
from apex_pipeline.domain.statements import Transfer
from apex_pipeline.store.db import Database
from tests.store import check_rows as rows
from tests.store.check_rows import ACCOUNT, CONID, compared, findings, made
from tests.store.position_rows import (
    FRIDAY,
    MONDAY,
    NEXT_MONDAY,
    SATURDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    WEEK,
    acted,
    action,
    event,
    held,
    opening,
    stop,
    told,
    traded,
    write,
)
from tests.store.rows import query

ROLL = CheckName.POSITIONS_ROLL_FROM_DAY_TO_DAY
LIVES = CheckName.NO_LIFE_OF_A_POSITION_CROSSES_ZERO
RULES = CheckName.EVERY_MOVEMENT_HAS_A_RULE
APPLE = f"AAPL {CONID}"
OPENED, INCREASED, REDUCED, CLOSED, FLIPPED = (
    PositionEventKind.OPENED, PositionEventKind.INCREASED, PositionEventKind.REDUCED, PositionEventKind.CLOSED,
    PositionEventKind.FLIPPED,
)  # fmt: skip


# Day by day ---------------------------------------------------------------------------------------------------


def rolling(db: Database) -> None:
    """100 bought on Monday, 40 of them sold on Wednesday; all days of the week are known."""
    rows.covered(db, MONDAY, FRIDAY)
    traded(db, "a", 100, MONDAY)
    traded(db, "b", -40, WEDNESDAY)
    write(db, *(held(100 if day < WEDNESDAY else 60, day) for day in WEEK))


def test_days_that_roll_into_one_another_are_no_finding(db: Database) -> None:
    rolling(db)
    assert findings(db, ROLL, MONDAY, FRIDAY) == []
    assert [findings(db, ROLL, day) for day in WEEK] == [[]] * 5
    assert compared(db, ROLL, MONDAY, FRIDAY) == 5
    assert compared(db, ROLL, SATURDAY, NEXT_MONDAY) == 0


@pytest.mark.parametrize(
    ("damage", "day", "expected", "actual"),
    [
        ("UPDATE positions_daily SET qty = 61 WHERE business_date = '2026-03-05'", THURSDAY, 60, 61),
        ("UPDATE positions_daily SET qty = qty + 1 WHERE business_date >= '2026-03-03'", TUESDAY, 100, 101),
        ("DELETE FROM positions_daily WHERE business_date = '2026-03-06'", FRIDAY, 60, 0),
        ("DELETE FROM positions_daily WHERE business_date BETWEEN '2026-03-03' AND '2026-03-05'", TUESDAY, 100, 0),
        ("DELETE FROM positions_daily", MONDAY, 100, 0),
    ],
)
def test_a_stored_position_that_its_movements_do_not_make_is_one_finding_of_its_first_day(
    db: Database, damage: Any, day: date, expected: int, actual: int
) -> None:
    rolling(db)
    query(db.url, damage)
    (found,) = findings(db, ROLL, MONDAY, FRIDAY)
    assert told([found]) == [(APPLE, day, expected, actual, "PIPELINE")]
    assert found.severity is Severity.ERROR
    assert told(findings(db, ROLL, day)) == told([found]), "a run of this day alone says the same"
    assert sum(len(findings(db, ROLL, one)) for one in WEEK) == 1


def test_what_would_set_a_stored_position_right_is_told_for_every_day_on_which_it_is_not(db: Database) -> None:
    rolling(db)
    query(db.url, "UPDATE positions_daily SET qty = qty + 1 WHERE business_date BETWEEN '2026-03-03' AND '2026-03-04'")
    (found,) = findings(db, ROLL, MONDAY, FRIDAY)
    changes = [(change["key"]["business_date"], change["row"]["qty"]) for change in found.evidence["set_right"]]
    assert changes == [("2026-03-03", "100"), ("2026-03-04", "60")]


def test_a_stored_position_of_what_never_moved_is_a_finding(db: Database) -> None:
    rolling(db)
    write(db, held(5, TUESDAY, instrument_id="8", symbol="NEW"))
    (found,) = findings(db, ROLL, MONDAY, FRIDAY)
    assert told([found]) == [("NEW 8", TUESDAY, 0, 5, "PIPELINE")]
    key = {"business_date": "2026-03-03", "account_id": ACCOUNT, "instrument_id": "8"}
    assert found.evidence["set_right"] == [{"do": "delete", "table": "positions_daily", "key": key}]


def test_evidence_of_a_day_names_both_days_and_what_moved_between_them(db: Database) -> None:
    rolling(db)
    query(db.url, "UPDATE positions_daily SET qty = 70 WHERE business_date = '2026-03-04'")
    (found,) = findings(db, ROLL, WEDNESDAY)
    days = (f"positions_daily/{day}/{ACCOUNT}/{CONID}" for day in (TUESDAY, WEDNESDAY))
    assert found.evidence["rows"] == [*days, "b"]
    assert (found.evidence["moved_on_the_day"], found.evidence["stored_change"]) == ("-40", "-30")
    assert found.evidence["set_right"][0]["row"] == {"qty": "60"}


@pytest.mark.parametrize(
    ("damage", "uid", "day", "expected", "actual"),
    [
        ("UPDATE trades_norm SET qty = 45 WHERE trade_uid = 'b'", "b", WEDNESDAY, -45, -40),
        ("UPDATE trades_norm SET side = 'SELL' WHERE trade_uid = 'a'", "a", MONDAY, -100, 100),
        ("UPDATE trades_norm SET trade_date = '2026-03-05' WHERE trade_uid = 'b'", "b", THURSDAY, -40, -40),
        ("UPDATE trades_norm SET effective = false WHERE trade_uid = 'b'", "b", WEDNESDAY, 0, -40),
        ("DELETE FROM trades_norm WHERE trade_uid = 'b'", "b", WEDNESDAY, 0, -40),
        ("UPDATE position_movements SET qty = -45 WHERE movement_uid = 'b'", "b", WEDNESDAY, -40, -45),
        ("DELETE FROM position_movements WHERE movement_uid = 'b'", "b", WEDNESDAY, -40, 0),
    ],
)
def test_the_row_is_the_finding_where_a_movement_and_its_source_differ(
    db: Database, damage: Any, uid: str, day: date, expected: int, actual: int
) -> None:
    rolling(db)
    query(db.url, damage)
    (found,) = findings(db, ROLL, MONDAY, FRIDAY)
    assert told([found]) == [(uid, day, expected, actual, "PIPELINE")]
    assert found.evidence["rows"] == [uid]
    assert findings(db, ROLL, day) == [found], "a run of this day alone says the same"
    assert sum(len(findings(db, ROLL, one)) for one in WEEK) == 1


def test_what_moves_no_position_needs_no_movement(db: Database) -> None:
    rolling(db)
    write(
        db,
        rows.trade("fx", 5, TUESDAY, asset_class=AssetClass.FX),
        rows.trade("x", 7, TUESDAY, effective=False),
        action("none", 0, TUESDAY),
    )
    assert findings(db, ROLL, MONDAY, FRIDAY) == []


def test_actions_transfers_and_openings_are_sources_too(db: Database) -> None:
    rows.covered(db, MONDAY, FRIDAY)
    sent = made(Transfer, transfer_uid="t", business_date=TUESDAY, qty=Decimal(7), direction="IN")
    write(db, opening("o", 10, MONDAY), action("s", 10, TUESDAY), sent)
    moved = {"o": (10, MONDAY, MovementKind.OPENING), "t": (7, TUESDAY, MovementKind.TRANSFER)}
    write(db, *(rows.movement(uid, qty, on, kind=kind) for uid, (qty, on, kind) in moved.items()))
    write(db, acted("s", 10, TUESDAY), *(held(10 if day == MONDAY else 27, day) for day in WEEK))
    assert findings(db, ROLL, MONDAY, FRIDAY) == []
    query(db.url, "UPDATE opening_balances SET qty = 11")
    query(db.url, "UPDATE corporate_actions SET qty = 12")
    query(db.url, "DELETE FROM transfers")
    found = told(findings(db, ROLL, MONDAY, FRIDAY))
    assert [one[:4] for one in found] == [("o", MONDAY, 11, 10), ("s", TUESDAY, 12, 10), ("t", TUESDAY, 0, 7)]


def test_a_transfer_whose_lots_a_person_signed_is_told_by_them(db: Database) -> None:
    rows.covered(db, MONDAY, FRIDAY)
    write(db, made(Transfer, transfer_uid="t", business_date=MONDAY, qty=Decimal(10), direction="IN"))
    write(db, opening("o", 10, MONDAY), rows.movement("o", 10, MONDAY, kind=MovementKind.OPENING))
    write(db, *(held(10, day) for day in WEEK))
    assert findings(db, ROLL, MONDAY, FRIDAY) == []


def test_an_opening_of_before_the_known_days_is_held_from_their_first(db: Database) -> None:
    rows.covered(db, MONDAY, FRIDAY)
    early = date(2024, 1, 2)
    write(db, opening("o", 10, early), rows.movement("o", 10, early, kind=MovementKind.OPENING))
    traded(db, "a", 1, TUESDAY, instrument_id="8", symbol="NEW")
    write(db, *(held(10, day) for day in WEEK), *(held(1, day, instrument_id="8", symbol="NEW") for day in WEEK[1:]))
    assert findings(db, ROLL, early, FRIDAY) == []
    query(db.url, "DELETE FROM positions_daily WHERE instrument_id <> '8' AND business_date = '2026-03-04'")
    assert told(findings(db, ROLL, early, FRIDAY)) == [(APPLE, WEDNESDAY, 10, 0, "PIPELINE")]


# Lives --------------------------------------------------------------------------------------------------------


def living(db: Database) -> None:
    """Opened with 100 on Monday, 40 more on Tuesday, and flipped by a sale of 190 on Wednesday to 50 short."""
    for uid, qty, on in (("a", 100, MONDAY), ("b", 40, TUESDAY), ("c", -190, WEDNESDAY), ("d", 20, THURSDAY)):
        write(db, rows.movement(uid, qty, on))
    write(
        db,
        event("a", OPENED, 100, 100, MONDAY),
        event("b", INCREASED, 40, 140, TUESDAY),
        event("c", FLIPPED, 140, 0, WEDNESDAY),
        event("c:OPENED", OPENED, 50, -50, WEDNESDAY, "short"),
        event("d", REDUCED, 20, -30, THURSDAY, "short"),
    )


def test_lives_that_end_at_zero_are_no_finding(db: Database) -> None:
    living(db)
    assert findings(db, LIVES, MONDAY, FRIDAY) == []
    assert [findings(db, LIVES, day) for day in WEEK] == [[]] * 5
    assert compared(db, LIVES, MONDAY, FRIDAY) == 5


@pytest.mark.parametrize(
    ("damage", "uid", "expected", "actual", "cause"),
    [
        ("UPDATE position_events SET position_uid = 'life'", "c:OPENED", 0, -50, "LIFECYCLE"),
        ("UPDATE position_events SET position_qty = 141 WHERE event_uid = 'b'", "b", 140, 141, "PIPELINE"),
        ("UPDATE position_events SET position_qty = -140 WHERE event_uid = 'b'", "b", 140, -140, "LIFECYCLE"),
        ("UPDATE position_events SET qty = 41 WHERE event_uid = 'b'", "b", 141, 140, "PIPELINE"),
        ("UPDATE position_events SET qty = 21 WHERE event_uid = 'd'", "d", -29, -30, "PIPELINE"),
        ("DELETE FROM position_events WHERE event_uid = 'b'", "b", 40, None, "PIPELINE"),
        ("DELETE FROM position_events WHERE event_uid = 'd'", "d", 20, None, "PIPELINE"),
    ],
)
def test_one_event_that_is_not_right_is_one_finding(
    db: Database, damage: Any, uid: str, expected: int, actual: int | None, cause: str
) -> None:
    living(db)
    query(db.url, damage)
    (found,) = findings(db, LIVES, MONDAY, FRIDAY)
    assert told([found]) == [(uid, found.business_date, expected, actual, cause)]
    assert (found.severity, uid in found.evidence["rows"]) == (Severity.WARN, True)
    assert sum(len(findings(db, LIVES, one)) for one in WEEK) == 1


def test_a_movement_that_is_lost_leaves_its_event_where_it_was(db: Database) -> None:
    living(db)
    query(db.url, "DELETE FROM position_movements WHERE movement_uid = 'b'")
    assert findings(db, LIVES, MONDAY, FRIDAY) == []


def test_a_position_may_begin_again_when_it_was_flat(db: Database) -> None:
    for uid, qty in (("a", 10), ("b", -10), ("c", 10)):
        write(db, rows.movement(uid, qty, MONDAY, sequence=Decimal(ord(uid))))
    write(
        db,
        event("a", OPENED, 10, 10, MONDAY),
        event("b", CLOSED, 10, 0, MONDAY),
        event("c", OPENED, 10, 10, MONDAY, "2"),
    )
    assert findings(db, LIVES, MONDAY) == []
    query(db.url, "UPDATE position_events SET position_uid = 'life'")
    assert told(findings(db, LIVES, MONDAY)) == [("c", MONDAY, 0, 10, "LIFECYCLE")]


# Corporate actions and stops ----------------------------------------------------------------------------------


def test_an_action_that_moved_what_the_broker_told_is_no_finding(db: Database) -> None:
    write(db, action("s1", -100, MONDAY), action("s2", 25, MONDAY), action("taken back", 5, MONDAY))
    write(db, action("back", -5, MONDAY), rows.movement("a", 1, MONDAY))
    write(db, *(acted(uid, qty, MONDAY) for uid, qty in (("s1", -100), ("s2", 25), ("taken back", 5), ("back", -5))))
    assert findings(db, RULES, MONDAY) == []
    assert compared(db, RULES, MONDAY) == 2, "the rows of one action are one subject"


@pytest.mark.parametrize(
    ("damage", "expected", "actual"),
    [
        ("DELETE FROM position_movements", 100, 0),
        ("DELETE FROM corporate_actions", 0, 100),
        ("UPDATE corporate_actions SET qty = 50", 50, 100),
        ("UPDATE position_movements SET qty = 200", 100, 200),
    ],
)
def test_a_split_that_one_side_does_not_know_is_a_finding(
    db: Database, damage: Any, expected: int, actual: int
) -> None:
    write(db, action("s", 100, MONDAY), acted("s", 100, MONDAY))
    query(db.url, damage)
    (found,) = findings(db, RULES, MONDAY)
    assert told([found]) == [(f"9@2026-03-02 {CONID}", MONDAY, expected, actual, "CORP_ACTION")]
    assert (found.severity, found.evidence["rows"]) == (Severity.ERROR, ["s"])
    assert compared(db, RULES, MONDAY) == 1


def test_every_instrument_of_an_action_is_compared_by_itself(db: Database) -> None:
    other = {"instrument_id": "8", "symbol": "NEW"}
    write(db, action("s1", -100, MONDAY), action("s2", 25, MONDAY, **other))
    write(db, acted("s1", -100, MONDAY), acted("s2", 24, MONDAY, **other))
    assert told(findings(db, RULES, MONDAY)) == [("9@2026-03-02 8", MONDAY, 25, 24, "CORP_ACTION")]


def test_every_stop_of_the_ledger_is_an_error(db: Database) -> None:
    write(db, rows.movement("a", 1, MONDAY))
    assert findings(db, RULES, MONDAY) == []
    write(db, stop(MONDAY))
    (found,) = findings(db, RULES, MONDAY)
    assert (found.severity, found.cause, found.evidence["reason"]) == (Severity.ERROR, "CORP_ACTION", "a spin-off")


def test_the_checks_are_in_the_catalogue() -> None:
    assert {CHECKS[name].check_id for name in (ROLL, LIVES, RULES)} == {"C01", "C07", "C08"}
