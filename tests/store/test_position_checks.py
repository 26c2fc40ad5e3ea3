"""Positions beside the brokers' snapshots: what differs is told once, on the day on which it came to differ."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.ledger import Action, BasisSource, MovementKind
from apex_pipeline.domain.models import AssetClass, Broker, Instrument, TradeKind
from apex_pipeline.store.db import Database
from tests.store import check_rows as rows
from tests.store.check_rows import ACCOUNT, CONID, at, compared, differences, findings, made
from tests.store.position_rows import (
    FRIDAY,
    FUTU,
    FUTU_TOLD,
    MONDAY,
    NEXT_MONDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    WEEK,
    action,
    held,
    snapshots,
    stop,
    told,
    write,
)
from tests.store.rows import query

POSITIONS = CheckName.POSITIONS_EQUAL_THE_BROKERS
APPLE = f"AAPL {CONID}"
OPTION: dict[str, Any] = {
    "asset_class": AssetClass.OPTION, "symbol": "AAPL260306P200", "instrument_id": "7001", "multiplier": Decimal(100)
}  # fmt: skip
QUARANTINED = (
    "INSERT INTO quarantine VALUES ('q', 'normalize', 'IB', %s, %s, 'k', %s, 'r', 'r', "
    "jsonb_build_object('conid', %s::text), NULL, now())"
)


def bought(db: Database, qty: int = 100) -> None:
    """Bought on Monday, and a snapshot of every day of the week."""
    snapshots(db, Broker.IB, WEEK)
    write(db, rows.movement("a", qty, MONDAY))


def held_by_ib(db: Database, *quantities: int) -> None:
    """What IB tells from Monday on, a day each; 0 is no row."""
    for day, qty in zip(WEEK, quantities, strict=True):
        if qty:
            write(db, rows.position(qty, day))


# Ours and the broker's ----------------------------------------------------------------------------------------


def test_a_position_that_equals_the_statement_is_no_finding(db: Database) -> None:
    snapshots(db, Broker.IB, (MONDAY, TUESDAY, WEDNESDAY))
    write(db, rows.movement("a", 100, MONDAY), rows.movement("b", "-30.5", WEDNESDAY))
    write(db, rows.position(100, MONDAY), rows.position(100, TUESDAY), rows.position("69.5", WEDNESDAY))
    assert findings(db, POSITIONS, MONDAY, WEDNESDAY) == []
    assert findings(db, POSITIONS, WEDNESDAY) == [], "what came before the asked days counts"
    assert compared(db, POSITIONS, MONDAY, WEDNESDAY) == 3


def test_a_difference_is_a_finding_of_the_day_on_which_it_appeared(db: Database) -> None:
    bought(db)
    held_by_ib(db, 100, 101, 101, 101, 101)
    (found,) = findings(db, POSITIONS, MONDAY, FRIDAY)
    assert (found.subject, found.business_date, found.expected, found.actual) == (APPLE, TUESDAY, 101, 100)
    assert (found.severity, found.cause) == (Severity.ERROR, None)
    assert (found.evidence["told"], found.evidence["ours"]) == ("101", "100")


@pytest.mark.parametrize("day", WEEK)
def test_a_run_of_one_day_tells_the_same_as_a_run_of_all(db: Database, day: date) -> None:
    bought(db)
    held_by_ib(db, 100, 101, 101, 90, 100)
    whole = findings(db, POSITIONS, MONDAY, FRIDAY)
    assert told(whole) == [(APPLE, TUESDAY, 101, 100, None), (APPLE, THURSDAY, 90, 100, None)]
    assert findings(db, POSITIONS, day) == [one for one in whole if one.business_date == day]


def test_a_difference_that_comes_back_is_a_finding_again(db: Database) -> None:
    bought(db)
    held_by_ib(db, 101, 100, 101, 101, 100)
    assert [one.business_date for one in findings(db, POSITIONS, MONDAY, FRIDAY)] == [MONDAY, WEDNESDAY]


def test_a_lost_trade_stays_the_same_difference_whatever_is_traded_later(db: Database) -> None:
    bought(db)
    write(db, rows.movement("b", 50, THURSDAY))
    held_by_ib(db, 100, 140, 140, 190, 190)
    assert told(findings(db, POSITIONS, MONDAY, FRIDAY)) == [(APPLE, TUESDAY, 140, 100, None)]


def test_days_without_a_readable_snapshot_are_passed_over(db: Database) -> None:
    snapshots(db, Broker.IB, (MONDAY, TUESDAY, THURSDAY))
    write(db, rows.movement("a", 100, MONDAY), *(rows.position(101, day) for day in (MONDAY, THURSDAY)))
    query(db.url, QUARANTINED, "positions", ACCOUNT, TUESDAY, CONID)
    assert findings(db, POSITIONS, THURSDAY) == [], "Monday is the day before"
    query(db.url, "UPDATE quarantine SET resolved_at = now()")
    assert told(findings(db, POSITIONS, THURSDAY)) == [(APPLE, THURSDAY, 101, 100, None)], "flat on Tuesday"


def test_an_empty_snapshot_says_flat_and_no_snapshot_says_nothing(db: Database) -> None:
    write(db, rows.movement("a", 100, MONDAY))
    assert findings(db, POSITIONS, MONDAY, TUESDAY) == []
    assert compared(db, POSITIONS, MONDAY, TUESDAY) == 0
    snapshots(db, Broker.IB, [TUESDAY])
    assert differences(findings(db, POSITIONS, MONDAY, TUESDAY)) == [(APPLE, 0, 100, "MISSING_A")]
    assert compared(db, POSITIONS, MONDAY, TUESDAY) == 1


def test_a_snapshot_of_which_a_row_could_not_be_read_is_not_compared(db: Database) -> None:
    write(db, rows.movement("a", 100, MONDAY))
    snapshots(db, Broker.IB, [MONDAY])
    query(db.url, QUARANTINED, "positions", ACCOUNT, MONDAY, CONID)
    assert (findings(db, POSITIONS, MONDAY), compared(db, POSITIONS, MONDAY)) == ([], 0)
    query(db.url, "UPDATE quarantine SET resolved_at = now()")
    assert len(findings(db, POSITIONS, MONDAY)) == 1


def test_evidence_names_the_rows_and_what_would_set_both_sides_right(db: Database) -> None:
    bought(db)
    held_by_ib(db, 100, 130, 130, 130, 130)
    write(db, rows.movement("b", 20, TUESDAY), held(120, TUESDAY))
    (found,) = findings(db, POSITIONS, TUESDAY)
    assert found.evidence["rows"] == [
        f"positions_daily/2026-03-03/{ACCOUNT}/{CONID}", f"broker_positions/2026-03-03/IB/{ACCOUNT}/{CONID}", "a", "b",
    ]  # fmt: skip
    (change,) = found.evidence["set_right"]
    assert (change["do"], change["table"]) == ("insert", "transfers"), "something moved it between two snapshots"
    row = change["row"]
    assert (row["qty"], row["business_date"], row["source"]) == ("10", "2026-03-03", "PERSON")
    assert (row["direction"], row["instrument_id"], row["asset_class"], row["account_id"]) == (
        "IN",
        CONID,
        "STOCK",
        ACCOUNT,
    )
    write(db, rows.movement(row["transfer_uid"], row["qty"], TUESDAY, kind=MovementKind.TRANSFER, place=0))
    assert findings(db, POSITIONS, MONDAY, FRIDAY) == []


def test_what_the_first_snapshot_tells_and_nothing_explains_was_there_before(db: Database) -> None:
    snapshots(db, Broker.IB, [MONDAY])
    write(db, rows.position(5, MONDAY))
    (found,) = findings(db, POSITIONS, MONDAY)
    assert (found.subject, found.expected, found.actual, found.cause) == (APPLE, 5, 0, "OPENING_BALANCE")
    assert found.evidence["set_right"][0]["row"]["qty"] == "5"


def test_what_a_later_snapshot_tells_for_the_first_time_is_a_lost_trade(db: Database) -> None:
    snapshots(db, Broker.IB, (MONDAY, TUESDAY))
    write(db, rows.position(5, TUESDAY))
    (found,) = findings(db, POSITIONS, TUESDAY)
    assert (found.cause, "set_right" in found.evidence) == ("MISSING_B", False)


def test_a_position_closed_without_having_been_opened_was_there_before(db: Database) -> None:
    snapshots(db, Broker.IB, [TUESDAY])
    write(db, rows.movement("a", -5, MONDAY), rows.position(10, TUESDAY))
    assert differences(findings(db, POSITIONS, TUESDAY)) == [(APPLE, 10, -5, None)]
    write(db, rows.realized("a:?", 5, MONDAY, close_trade_uid="a", basis_source=BasisSource.UNKNOWN))
    (found,) = findings(db, POSITIONS, TUESDAY)
    assert told([found]) == [(APPLE, TUESDAY, 10, -5, "OPENING_BALANCE")]
    row = found.evidence["set_right"][0]["row"]
    assert (row["qty"], row["opened_on"]) == ("15", "2026-03-02"), "it was held when it was closed"


def test_a_trade_that_could_not_be_read_is_named_as_the_cause(db: Database) -> None:
    bought(db)
    held_by_ib(db, 100, 101, 101, 101, 101)
    query(db.url, QUARANTINED, "trades", ACCOUNT, TUESDAY, CONID)
    (found,) = findings(db, POSITIONS, MONDAY, FRIDAY)
    assert (found.cause, found.evidence["quarantined"]) == ("PIPELINE", ["q"])
    query(db.url, 'UPDATE quarantine SET payload = \'{"conid": "1"}\'')
    assert [one.cause for one in findings(db, POSITIONS, MONDAY, FRIDAY)] == [None]


@pytest.mark.parametrize("told_as", ["action", "cost", "stop"])
def test_a_split_that_one_side_does_not_know_is_a_corporate_action(db: Database, told_as: str) -> None:
    bought(db)
    cost = {MONDAY: "10", TUESDAY: "5" if told_as == "cost" else "9"}
    for day, qty in ((MONDAY, 100), *((day, 200) for day in WEEK[1:])):
        write(db, rows.position(qty, day, average_cost=Decimal(cost.get(day, "5"))))
    if told_as == "action":
        write(db, action("s", 100, TUESDAY, kind=Action.SPLIT))
    if told_as == "stop":
        write(db, stop(TUESDAY))
    assert told(findings(db, POSITIONS, MONDAY, FRIDAY)) == [(APPLE, TUESDAY, 200, 100, "CORP_ACTION")]


def test_an_option_that_ended_at_the_broker_alone_is_of_its_lifecycle(db: Database) -> None:
    snapshots(db, Broker.IB, (THURSDAY, NEXT_MONDAY))
    write(db, rows.movement("a", 1, MONDAY, **OPTION))
    write(db, made(Instrument, symbol=OPTION["symbol"], asset_class=AssetClass.OPTION, expiry=FRIDAY, ib_conid="7001"))
    write(db, rows.position(1, THURSDAY, broker_position_id="7001", symbol=OPTION["symbol"]))
    assert told(findings(db, POSITIONS, MONDAY, NEXT_MONDAY)) == [
        (f"{OPTION['symbol']} 7001", NEXT_MONDAY, 0, 1, "LIFECYCLE")
    ]


# When a movement is in a snapshot -----------------------------------------------------------------------------


def test_what_ib_reports_later_counts_from_its_report_on(db: Database) -> None:
    """A Friday's expiry stands in Monday's statement; Friday's still shows the option."""
    snapshots(db, Broker.IB, (FRIDAY, NEXT_MONDAY))
    write(
        db,
        rows.movement("a", 1, MONDAY, **OPTION),
        rows.movement("b", -1, FRIDAY, kind=MovementKind.EXPIRATION, **OPTION),
        rows.trade("b", -1, FRIDAY, kind=TradeKind.EXPIRATION, report_date=NEXT_MONDAY, **OPTION),
        rows.position(1, FRIDAY, broker_position_id="7001", symbol=OPTION["symbol"], asset_class=AssetClass.OPTION),
    )
    assert findings(db, POSITIONS, FRIDAY, NEXT_MONDAY) == []
    query(db.url, "UPDATE trades_norm SET report_date = trade_date")
    assert [one.business_date for one in findings(db, POSITIONS, FRIDAY, NEXT_MONDAY)] == [FRIDAY]


def test_a_trade_of_the_evening_belongs_to_its_trade_date(db: Database) -> None:
    evening = datetime(2026, 3, 3, 1, 30, tzinfo=UTC)
    snapshots(db, Broker.IB, (MONDAY, TUESDAY))
    write(db, rows.movement("a", 3, TUESDAY, moved_at=evening), rows.position(3, TUESDAY))
    assert findings(db, POSITIONS, MONDAY, TUESDAY) == []


def test_what_tws_tells_is_of_its_instant(db: Database) -> None:
    rows.snapshot(db, Broker.IB, MONDAY, as_of=at(MONDAY, 16), key="tws:2026-03-02")
    write(db, rows.movement("a", 3, MONDAY), rows.movement("b", 2, MONDAY, moved_at=at(MONDAY, 17)))
    write(db, rows.position(3, MONDAY))
    assert findings(db, POSITIONS, MONDAY) == []
    query(db.url, "UPDATE position_movements SET moved_at = %s", at(MONDAY, 15))
    assert differences(findings(db, POSITIONS, MONDAY)) == [(APPLE, 3, 5, None)]


def test_a_statement_told_before_a_cancel_may_hold_what_was_cancelled(db: Database) -> None:
    snapshots(db, Broker.IB, (MONDAY, TUESDAY))
    write(
        db,
        rows.trade("a", 7, MONDAY, effective=False, report_date=MONDAY),
        rows.trade("a-", -7, MONDAY, effective=False, report_date=TUESDAY, kind=TradeKind.CANCEL),
        rows.position(7, MONDAY),
    )
    assert findings(db, POSITIONS, MONDAY, TUESDAY) == []
    write(db, rows.position(7, TUESDAY))
    assert [one.business_date for one in findings(db, POSITIONS, MONDAY, TUESDAY)] == [TUESDAY]


def test_a_snapshot_of_futu_is_of_its_instant(db: Database) -> None:
    rows.snapshot(db, Broker.FUTU, MONDAY, as_of=at(MONDAY, 16), key="2026-03-02")
    write(
        db,
        rows.movement("a", 100, MONDAY, moved_at=at(MONDAY, 15), **FUTU),
        rows.movement("b", 50, MONDAY, moved_at=at(MONDAY, 17), **FUTU),
        rows.position(100, MONDAY, **FUTU_TOLD),
    )
    assert findings(db, POSITIONS, MONDAY) == []
    query(db.url, "UPDATE position_movements SET moved_at = %s WHERE movement_uid = 'b'", at(MONDAY, 15))
    assert differences(findings(db, POSITIONS, MONDAY)) == [("AAPL", 100, 150, None)]


@pytest.mark.parametrize("still", [0, -1])
def test_futu_may_show_an_option_or_not_on_the_days_of_its_end(db: Database, still: int) -> None:
    own = OPTION | {"broker": Broker.FUTU, "instrument_id": "US.AAPL260306P200000"}
    shown = {**FUTU_TOLD, "symbol": own["symbol"]}
    snapshots(db, Broker.FUTU, [FRIDAY])
    write(db, rows.movement("a", -1, MONDAY, **own), rows.movement("b", 1, FRIDAY, kind=MovementKind.ASSIGNMENT, **own))
    if still:
        write(db, rows.position(still, FRIDAY, **shown))
    assert findings(db, POSITIONS, FRIDAY) == []
    late = date(2026, 3, 12)
    snapshots(db, Broker.FUTU, [late])
    write(db, rows.position(-1, late, **shown))
    assert [one.business_date for one in findings(db, POSITIONS, FRIDAY, late)] == [late]


def test_several_rows_of_one_contract_are_one_position(db: Database) -> None:
    snapshots(db, Broker.FUTU, [MONDAY])
    two = (
        rows.position(60, MONDAY, **FUTU_TOLD),
        rows.position(40, MONDAY, **{**FUTU_TOLD, "broker_position_id": "2"}),
    )
    write(db, rows.movement("a", 100, MONDAY, **FUTU), *two)
    assert findings(db, POSITIONS, MONDAY) == []


def test_currencies_are_no_positions(db: Database) -> None:
    snapshots(db, Broker.IB, [MONDAY])
    write(db, rows.movement("a", 100, MONDAY), rows.position(100, MONDAY))
    write(db, rows.position(500, MONDAY, broker_position_id="12", symbol="EUR.USD", asset_class=AssetClass.FX))
    assert findings(db, POSITIONS, MONDAY) == []
    assert compared(db, POSITIONS, MONDAY) == 1


def test_the_check_is_in_the_catalogue() -> None:
    assert CHECKS[POSITIONS].check_id == "C02"


# What would set a position right ----------------------------------------------------------------------------------


def proposal(db: Database, *known: Any) -> dict[str, Any]:
    """What is proposed where the broker holds 200 from Tuesday on, and these are known beside 100 of Monday."""
    bought(db)
    for day, qty in ((MONDAY, 100), *((day, 200) for day in WEEK[1:])):
        write(db, rows.position(qty, day, average_cost=Decimal(10 if qty == 100 else 5)))
    write(db, *known)
    (found,) = findings(db, POSITIONS, MONDAY, FRIDAY)
    (change,) = found.evidence["set_right"]
    return change


def test_a_split_that_nobody_told_is_the_quantity_of_the_same_cost(db: Database) -> None:
    change = proposal(db)
    assert (change["do"], change["table"]) == ("insert", "corporate_actions")
    row = change["row"]
    assert (row["kind"], row["qty"], row["instrument_id"], row["business_date"]) == (
        "SPLIT",
        "100",
        CONID,
        str(TUESDAY),
    )


def test_a_split_that_was_told_twice_goes_once_and_one_of_another_quantity_is_set_to_it(db: Database) -> None:
    twice = [action(uid, 100, TUESDAY, kind=Action.SPLIT) for uid in ("s", "t")]
    change = proposal(db, *twice, *(rows.movement(uid, 100, TUESDAY, place=1) for uid in ("s", "t")))
    assert (change["do"], change["key"]["action_uid"]) == ("delete", "t")
    query(db.url, "DELETE FROM corporate_actions WHERE action_uid = 't'; UPDATE corporate_actions SET qty = 200")
    (found,) = findings(db, POSITIONS, MONDAY, FRIDAY)
    (change,) = found.evidence["set_right"]
    assert (change["do"], change["key"]["action_uid"], change["row"]["qty"]) == ("update", "s", "100")


def test_the_other_side_of_an_exchange_is_proposed_where_one_side_stands_alone(db: Database) -> None:
    bought(db)
    write(db, rows.position(100, MONDAY))
    alone = action("x", 50, TUESDAY, instrument_id="9", symbol="NEW", broker_kind="IC", kind=Action.SYMBOL_CHANGE)
    write(db, alone, rows.movement("x", 50, TUESDAY, instrument_id="9", symbol="NEW", place=1))
    for day in WEEK[1:]:
        write(db, rows.position(50, day, symbol="NEW", broker_position_id="9"))
    (found,) = findings(db, POSITIONS, MONDAY, FRIDAY)
    assert (found.subject, found.expected, found.actual) == (APPLE, 0, 100)
    (change,) = found.evidence["set_right"]
    row = change["row"]
    assert (change["table"], row["qty"], row["instrument_id"]) == ("corporate_actions", "-100", CONID)
    assert (row["broker_action_id"], row["kind"], row["business_date"]) == ("9", "SYMBOL_CHANGE", str(TUESDAY))
