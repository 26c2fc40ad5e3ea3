"""Average costs and unrealized gains beside the brokers: what differs is told once, when it came to differ."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.ledger import MovementKind
from apex_pipeline.domain.models import AssetClass, Broker, Instrument
from apex_pipeline.store.db import Database
from tests.store import check_rows as rows
from tests.store.check_rows import ACCOUNT, CONID, at, compared, findings, made
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
    held,
    snapshots,
    told,
    write,
)
from tests.store.rows import query

COST = CheckName.AVERAGE_COST_EQUALS_THE_BROKERS
GAIN = CheckName.UNREALIZED_PNL_EQUALS_THE_BROKERS
APPLE = f"AAPL {CONID}"


@pytest.fixture
def db(db: Database) -> Database:
    """IB tells its positions on every day of a week."""
    snapshots(db, Broker.IB, (*WEEK, NEXT_MONDAY))
    write(db, made(Instrument, ib_conid=CONID))
    return db


# Average cost of IB -------------------------------------------------------------------------------------------


def average(value: str, qty: int, on: date, **values: Any) -> Any:
    """A position of the broker at this average cost."""
    return rows.position(qty, on, average_cost=Decimal(value), **values)


def test_an_average_cost_within_a_ten_thousandth_is_no_finding(db: Database) -> None:
    write(db, held(200, TUESDAY, 2004), average("10.0203", 200, TUESDAY))
    assert (findings(db, COST, TUESDAY), compared(db, COST, TUESDAY)) == ([], 1)


def test_another_average_cost_is_a_finding(db: Database) -> None:
    write(db, held(200, TUESDAY, 2004), average("10.04", 200, TUESDAY))
    (found,) = findings(db, COST, TUESDAY)
    assert told([found]) == [(APPLE, TUESDAY, Decimal("10.04"), Decimal("10.02"), None)]
    assert (found.severity, found.currency) == (Severity.ERROR, "USD")
    assert (found.evidence["told_cost"], found.evidence["cost"]) == ("2008", "2004")
    assert found.evidence["rows"] == [
        f"positions_daily/{TUESDAY}/{ACCOUNT}/{CONID}", f"broker_positions/{TUESDAY}/IB/{ACCOUNT}/{CONID}",
    ]  # fmt: skip


def test_costs_are_compared_where_quantity_and_basis_are_known_only(db: Database) -> None:
    write(db, held(200, TUESDAY, 2004), average("11", 201, TUESDAY))
    write(db, held(200, WEDNESDAY), average("11", 200, WEDNESDAY))
    write(db, held(200, THURSDAY, 2004), rows.position(200, THURSDAY))
    write(db, held(200, FRIDAY, 2004), average("11", 200, FRIDAY, source="TWS"))
    assert (findings(db, COST, MONDAY, FRIDAY), compared(db, COST, MONDAY, FRIDAY)) == ([], 0)


def test_a_cost_is_told_when_it_appears_or_grows_and_not_when_parts_are_sold(db: Database) -> None:
    for day, qty, ours, theirs in zip(WEEK, (200, 200, 100, 300, 300), (11, 11, 11, 11, 12), (10,) * 5, strict=True):
        write(db, held(qty, day, qty * ours), average(str(theirs), qty, day))
    whole = findings(db, COST, MONDAY, FRIDAY)
    assert [(one.business_date, one.actual) for one in whole] == [(MONDAY, 11), (THURSDAY, 11), (FRIDAY, 12)]
    assert [one for day in WEEK for one in findings(db, COST, day)] == whole


def test_costs_are_not_compared_between_a_trade_and_its_report_or_cancel(db: Database) -> None:
    write(db, held(200, TUESDAY, 2004), average("11", 200, TUESDAY))
    assert len(findings(db, COST, TUESDAY)) == 1
    write(db, rows.trade("late", 5, MONDAY, report_date=WEDNESDAY))
    assert findings(db, COST, TUESDAY) == []
    query(db.url, "UPDATE trades_norm SET report_date = trade_date")
    assert len(findings(db, COST, TUESDAY)) == 1
    query(db.url, "UPDATE trades_norm SET effective = false")
    assert findings(db, COST, TUESDAY) == []


# Average cost of Futu -----------------------------------------------------------------------------------------


def futu(db: Database, *moves: tuple[int, str, date], **values: Any) -> None:
    """Trades of Futu at these prices, with a fee of 1 each, and a snapshot of Friday."""
    snapshots(db, Broker.FUTU, [FRIDAY])
    for number, (qty, price, day) in enumerate(moves):
        more: dict[str, Any] = {
            "price": Decimal(price),
            "fees": Decimal(1),
            "sequence": Decimal(number),
            **FUTU,
            **values,
        }
        write(db, rows.movement(f"m{number}", qty, day, **more))


@pytest.mark.parametrize(
    ("moves", "theirs"),
    [
        ([(100, "10", MONDAY), (100, "12", TUESDAY)], "11"),
        ([(100, "10", MONDAY), (-50, "20", TUESDAY), (50, "12", WEDNESDAY)], "11"),  # selling leaves the average
        ([(100, "10", MONDAY), (-100, "20", TUESDAY), (50, "12", WEDNESDAY)], "12"),  # flat: begun anew
        ([(100, "10", MONDAY), (-150, "20", TUESDAY)], "20"),  # crossing zero too
        ([(-100, "10", MONDAY), (-50, "13", TUESDAY), (20, "1", WEDNESDAY)], "11"),
        ([(3, "10", MONDAY), (3, "11", MONDAY), (1, "13", TUESDAY)], "10.857143"),
        ([(3, "10", MONDAY), (3, "11", MONDAY), (1, "13", TUESDAY)], "10.857"),  # rounded as Futu does
    ],
)
def test_futus_average_is_the_moving_one_without_fees(
    db: Database, moves: list[tuple[int, str, date]], theirs: str
) -> None:
    futu(db, *moves)
    qty = sum(move[0] for move in moves)
    write(db, average(theirs, qty, FRIDAY, **FUTU_TOLD))
    assert findings(db, COST, MONDAY, FRIDAY) == []
    wrong = Decimal(theirs) * Decimal("1.002")
    query(db.url, "UPDATE broker_positions SET average_cost = %s", wrong)
    (found,) = findings(db, COST, MONDAY, FRIDAY)
    assert (found.subject, found.severity, found.cause) == ("AAPL", Severity.WARN, "CONVENTION")
    assert found.expected == wrong
    assert abs((found.actual or 0) / Decimal(theirs) - 1) < Decimal("0.0001")


@pytest.mark.parametrize("theirs", ["11.01", "10.5"])
def test_an_average_with_fees_or_of_our_lots_is_a_habit_and_no_finding(db: Database, theirs: str) -> None:
    futu(db, (100, "10", MONDAY), (100, "12", TUESDAY))
    write(db, held(200, FRIDAY, 2100, **FUTU), average(theirs, 200, FRIDAY, **FUTU_TOLD))
    assert findings(db, COST, MONDAY, FRIDAY) == []


def test_futus_average_is_of_the_instant_of_its_snapshot(db: Database) -> None:
    futu(db, (100, "10", MONDAY))
    late = {"moved_at": at(FRIDAY, 23), "fees": Decimal(0), **FUTU}
    write(db, rows.movement("x", -100, FRIDAY, price=Decimal(9), **late))
    write(db, rows.movement("y", 100, FRIDAY, price=Decimal(30), sequence=Decimal(9), **late))
    write(db, average("10", 100, FRIDAY, **FUTU_TOLD))
    assert findings(db, COST, MONDAY, FRIDAY) == []


def test_a_cost_from_before_is_not_known_until_the_position_was_flat(db: Database) -> None:
    futu(db, (100, "10", MONDAY))
    write(db, rows.movement("o", 50, date(2026, 2, 2), kind=MovementKind.OPENING, place=0, price=None, **FUTU))
    write(db, average("99", 150, FRIDAY, **FUTU_TOLD))
    assert findings(db, COST, MONDAY, FRIDAY) == []
    write(db, rows.movement("x", -50, date(2026, 2, 3), price=Decimal(9), **FUTU))
    write(db, average("99", 100, FRIDAY, **FUTU_TOLD))
    assert len(findings(db, COST, MONDAY, FRIDAY)) == 1


def test_what_futu_makes_of_delivered_shares_is_not_known(db: Database) -> None:
    futu(db, (100, "10", MONDAY), kind=MovementKind.ASSIGNMENT)
    write(db, average("99", 100, FRIDAY, **FUTU_TOLD))
    assert findings(db, COST, MONDAY, FRIDAY) == []
    query(db.url, "UPDATE position_movements SET kind = 'TRADE'")
    assert len(findings(db, COST, MONDAY, FRIDAY)) == 1


# Unrealized gains ---------------------------------------------------------------------------------------------


def gained(gain: str, on: date, **values: Any) -> Any:
    """100 of the broker at a cost of 10 and a mark of 12."""
    usual: dict[str, Any] = {"average_cost": Decimal(10), "mark_price": Decimal(12), "market_value": Decimal(1200)}
    return rows.position(100, on, unrealized_pnl=Decimal(gain), **(usual | values))


@pytest.mark.parametrize("gain", ["200", "200.02", "199.98"])
def test_a_gain_at_the_brokers_mark_is_no_finding(db: Database, gain: str) -> None:
    write(db, held(100, MONDAY, 1000, "12"), gained(gain, MONDAY))
    assert (findings(db, GAIN, MONDAY), compared(db, GAIN, MONDAY)) == ([], 1)


def test_another_gain_is_a_finding(db: Database) -> None:
    write(db, held(100, MONDAY, 1000, "12"), gained("201", MONDAY))
    (found,) = findings(db, GAIN, MONDAY)
    assert told([found]) == [(APPLE, MONDAY, 201, 200, None)]
    assert (found.severity, found.currency, found.evidence["mark"]) == (Severity.ERROR, "USD", "12")
    assert found.evidence["rows"] == [
        f"positions_daily/{MONDAY}/{ACCOUNT}/{CONID}", f"broker_positions/{MONDAY}/IB/{ACCOUNT}/{CONID}",
    ]  # fmt: skip


def test_the_gain_of_futu_counts_from_its_average_and_not_from_our_lots(db: Database) -> None:
    snapshots(db, Broker.FUTU, [MONDAY])
    write(db, held(100, MONDAY, 1050, "12", **FUTU), gained("200", MONDAY, **FUTU_TOLD))
    assert (findings(db, GAIN, MONDAY), compared(db, GAIN, MONDAY)) == ([], 1)
    query(db.url, "UPDATE broker_positions SET unrealized_pnl = 150")
    assert told(findings(db, GAIN, MONDAY)) == [("AAPL", MONDAY, 150, 200, None)]


def test_another_quantity_or_cost_is_the_finding_of_another_check(db: Database) -> None:
    write(db, held(101, MONDAY, 1010, "12"), gained("1", MONDAY))
    write(db, held(100, TUESDAY, 1050, "12"), gained("1", TUESDAY))
    write(db, held(100, WEDNESDAY, None, "12"), gained("1", WEDNESDAY))
    assert findings(db, GAIN, MONDAY, FRIDAY) == []


def test_a_wrong_contract_size_and_a_wrong_sum_have_their_causes(db: Database) -> None:
    write(db, held(100, MONDAY, 2000, "12", size=2), gained("200", MONDAY, average_cost=Decimal(20)))
    assert [one.cause for one in findings(db, GAIN, MONDAY)] == ["REFERENCE_DATA"]
    write(db, held(100, MONDAY, 1000, "12", unrealized_pnl=Decimal(150)), gained("200", MONDAY))
    (found,) = findings(db, GAIN, MONDAY)
    assert (found.actual, found.cause) == (150, "PIPELINE")
    write(db, held(100, MONDAY, 1000, "11"), gained("200", MONDAY))
    assert [one.cause for one in findings(db, GAIN, MONDAY)] == ["PIPELINE"], "another mark"


def test_a_mark_that_value_and_gain_contradict_is_set_right(db: Database) -> None:
    write(db, held(100, MONDAY, 1000, "15"), gained("200", MONDAY, mark_price=Decimal(15)))
    (found,) = findings(db, GAIN, MONDAY)
    assert (found.cause, found.expected, found.actual) == ("REFERENCE_DATA", 200, 500)
    assert found.evidence["set_right"][0]["row"] == {"mark_price": "12"}
    write(db, held(100, MONDAY, 1000, "15"), gained("200", MONDAY, mark_price=Decimal(15), market_value=Decimal(1500)))
    (found,) = findings(db, GAIN, MONDAY)
    assert "set_right" not in found.evidence, "control: the value is that of the mark"


def test_a_value_that_is_not_quantity_times_mark_and_another_currency_are_told(db: Database) -> None:
    write(db, held(100, MONDAY, 1000, "12"), gained("200", MONDAY, market_value=Decimal(1250)))
    assert told(findings(db, GAIN, MONDAY)) == [(APPLE, MONDAY, 1250, 1200, "REFERENCE_DATA")]
    write(db, held(100, MONDAY, 1000, "12"), gained("200", MONDAY, currency="HKD"))
    (found,) = findings(db, GAIN, MONDAY)
    assert (found.cause, found.expected, found.currency) == ("REFERENCE_DATA", None, "HKD")
    assert found.evidence["our_currency"] == "USD"


def test_a_gain_that_differs_is_told_on_its_first_day(db: Database) -> None:
    for day, gain in zip(WEEK, ("200", "210", "220", "200", "230"), strict=True):
        write(db, held(100, day, 1000, "12"), gained(gain, day))
    whole = findings(db, GAIN, MONDAY, FRIDAY)
    assert [one.business_date for one in whole] == [TUESDAY, FRIDAY]
    assert [one for day in WEEK for one in findings(db, GAIN, day)] == whole


def test_bonds_and_what_tws_tells_are_not_compared(db: Database) -> None:
    bond = {"asset_class": AssetClass.BOND}
    write(db, held(100, MONDAY, 1000, "12", **bond), gained("1", MONDAY, **bond))
    write(db, held(100, TUESDAY, 1000, "12"), gained("1", TUESDAY, source="TWS"))
    assert (findings(db, GAIN, MONDAY, FRIDAY), compared(db, GAIN, MONDAY, FRIDAY)) == ([], 0)


def test_the_checks_are_in_the_catalogue() -> None:
    assert {CHECKS[name].check_id for name in (COST, GAIN)} == {"C04", "D04"}
