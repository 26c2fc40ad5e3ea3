"""The checks that prove the ledger: each notices what it is for, and is silent where both sides agree."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.ledger import BasisSource, Direction, LedgerStop, LotMove, MovementKind
from apex_pipeline.domain.models import AssetClass, Broker, Instrument, OptionRight, TradeKind
from apex_pipeline.domain.reconciliation import CHECKS, CheckName, Severity
from apex_pipeline.domain.statements import BrokerFigures
from apex_pipeline.store.db import Database
from tests.store import check_rows as rows
from tests.store.check_rows import ACCOUNT, CONID, at, compared, differences, findings, made, write
from tests.store.rows import query

POSITIONS = CheckName.POSITIONS_EQUAL_THE_BROKERS
LOTS = CheckName.OPEN_LOTS_EQUAL_THE_BROKERS
EXPIRY = CheckName.NO_OPTION_OUTLIVES_ITS_EXPIRY
LEGS = CheckName.EVERY_DELIVERY_HAS_BOTH_LEGS
RULES = CheckName.EVERY_MOVEMENT_HAS_A_RULE
REALIZED = CheckName.REALIZED_PNL_EQUALS_THE_BROKERS
NAV = CheckName.NAV_BRIDGE_CLOSES
MONDAY, TUESDAY, WEDNESDAY = date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4)
FRIDAY, NEXT_MONDAY = date(2026, 3, 6), date(2026, 3, 9)
FUTU = {"broker": Broker.FUTU, "instrument_id": "US.AAPL"}
OPTION: dict[str, Any] = {
    "asset_class": AssetClass.OPTION, "symbol": "AAPL260306P200", "instrument_id": "7001", "multiplier": Decimal(100)
}  # fmt: skip


def stop(on: date) -> LedgerStop:
    return made(LedgerStop, stop_uid=f"S_{on}", business_date=on, reason_code="UNKNOWN_ACTION", reason="a spin-off")


def option(expiry: date = FRIDAY, right: OptionRight = OptionRight.PUT) -> Instrument:
    return made(
        Instrument,
        symbol=OPTION["symbol"],
        asset_class=AssetClass.OPTION,
        strike=Decimal(200),
        expiry=expiry,
        option_right=right,
        multiplier=Decimal(100),
        ib_conid="7001",
        futu_code="US.AAPL260306P200000",
    )


# Positions ----------------------------------------------------------------------------------------------------


def test_a_position_that_equals_the_statement_is_no_finding(db: Database) -> None:
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        rows.snapshot(db, Broker.IB, day)
    write(db, rows.movement("a", 100, MONDAY), rows.movement("b", "-30.5", WEDNESDAY))
    write(db, rows.position(100, MONDAY), rows.position(100, TUESDAY), rows.position("69.5", WEDNESDAY))
    assert findings(db, POSITIONS, MONDAY, WEDNESDAY) == []
    assert findings(db, POSITIONS, WEDNESDAY) == [], "what came before the asked days counts"
    assert compared(db, POSITIONS, MONDAY, WEDNESDAY) == 3


def test_every_day_on_which_a_position_differs_is_a_finding(db: Database) -> None:
    for day in (MONDAY, TUESDAY):
        rows.snapshot(db, Broker.IB, day)
    write(db, rows.movement("a", 100, MONDAY), rows.position(100, MONDAY), rows.position(101, TUESDAY))
    (found,) = findings(db, POSITIONS, MONDAY, TUESDAY)
    assert (found.subject, found.business_date, found.expected, found.actual) == (f"AAPL {CONID}", TUESDAY, 101, 100)
    assert (found.severity, found.cause) == (Severity.ERROR, None)


def test_an_empty_snapshot_says_flat_and_no_snapshot_says_nothing(db: Database) -> None:
    write(db, rows.movement("a", 100, MONDAY))
    assert findings(db, POSITIONS, MONDAY, TUESDAY) == []
    assert compared(db, POSITIONS, MONDAY, TUESDAY) == 0
    rows.snapshot(db, Broker.IB, TUESDAY)
    assert differences(findings(db, POSITIONS, MONDAY, TUESDAY)) == [(f"AAPL {CONID}", 0, 100, "MISSING_A")]
    assert compared(db, POSITIONS, MONDAY, TUESDAY) == 1


def test_a_snapshot_of_which_a_row_could_not_be_read_is_not_compared(db: Database) -> None:
    write(db, rows.movement("a", 100, MONDAY))
    rows.snapshot(db, Broker.IB, MONDAY)
    query(
        db.url,
        "INSERT INTO quarantine VALUES ('q', 'normalize', 'IB', 'positions', %s, 'k', %s, 'r', 'r', '{}', NULL, now())",
        ACCOUNT,
        MONDAY,
    )
    assert (findings(db, POSITIONS, MONDAY), compared(db, POSITIONS, MONDAY)) == ([], 0)
    query(db.url, "UPDATE quarantine SET resolved_at = now()")
    assert len(findings(db, POSITIONS, MONDAY)) == 1


def test_a_position_of_which_nothing_is_known_is_an_opening_balance(db: Database) -> None:
    rows.snapshot(db, Broker.IB, MONDAY)
    write(db, rows.position(5, MONDAY))
    assert differences(findings(db, POSITIONS, MONDAY)) == [(f"AAPL {CONID}", 5, 0, "OPENING_BALANCE")]


def test_a_position_closed_without_having_been_opened_is_an_opening_balance(db: Database) -> None:
    rows.snapshot(db, Broker.IB, MONDAY)
    write(db, rows.movement("a", -5, MONDAY), rows.position(10, MONDAY))
    assert differences(findings(db, POSITIONS, MONDAY)) == [(f"AAPL {CONID}", 10, -5, None)]
    write(db, rows.realized("a:?", 5, MONDAY, close_trade_uid="a", basis_source=BasisSource.UNKNOWN))
    assert differences(findings(db, POSITIONS, MONDAY)) == [(f"AAPL {CONID}", 10, -5, "OPENING_BALANCE")]


def test_what_ib_reports_later_counts_from_its_report_on(db: Database) -> None:
    """A Friday's expiry stands in Monday's statement; Friday's still shows the option."""
    for day in (FRIDAY, NEXT_MONDAY):
        rows.snapshot(db, Broker.IB, day)
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
    for day in (MONDAY, TUESDAY):
        rows.snapshot(db, Broker.IB, day)
    write(db, rows.movement("a", 3, TUESDAY, moved_at=evening), rows.position(3, TUESDAY))
    assert findings(db, POSITIONS, MONDAY, TUESDAY) == []


def test_a_statement_told_before_a_cancel_may_hold_what_was_cancelled(db: Database) -> None:
    for day in (MONDAY, TUESDAY):
        rows.snapshot(db, Broker.IB, day)
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
        rows.position(100, MONDAY, broker=Broker.FUTU, broker_position_id="91"),
    )
    assert findings(db, POSITIONS, MONDAY) == []
    query(db.url, "UPDATE position_movements SET moved_at = %s WHERE movement_uid = 'b'", at(MONDAY, 15))
    assert differences(findings(db, POSITIONS, MONDAY)) == [("AAPL", 100, 150, None)]


@pytest.mark.parametrize("held", [0, -1])
def test_futu_may_show_an_option_or_not_on_the_days_of_its_end(db: Database, held: int) -> None:
    own = OPTION | {"broker": Broker.FUTU, "instrument_id": "US.AAPL260306P200000"}
    rows.snapshot(db, Broker.FUTU, FRIDAY, as_of=at(FRIDAY, 23), key="2026-03-06")
    write(
        db,
        rows.movement("a", -1, MONDAY, **own),
        rows.movement("b", 1, FRIDAY, kind=MovementKind.ASSIGNMENT, **own),
        *(
            [rows.position(held, FRIDAY, broker=Broker.FUTU, broker_position_id="1", symbol=own["symbol"])]
            if held
            else []
        ),
    )
    assert findings(db, POSITIONS, FRIDAY) == []
    rows.snapshot(db, Broker.FUTU, date(2026, 3, 12), key="2026-03-12")
    write(db, rows.position(-1, date(2026, 3, 12), broker=Broker.FUTU, broker_position_id="1", symbol=own["symbol"]))
    assert [one.business_date for one in findings(db, POSITIONS, FRIDAY, date(2026, 3, 12))] == [date(2026, 3, 12)]


def test_several_rows_of_one_contract_are_one_position(db: Database) -> None:
    rows.snapshot(db, Broker.FUTU, MONDAY, key="2026-03-02")
    write(
        db,
        rows.movement("a", 100, MONDAY, **FUTU),
        rows.position(60, MONDAY, broker=Broker.FUTU, broker_position_id="1"),
        rows.position(40, MONDAY, broker=Broker.FUTU, broker_position_id="2"),
    )
    assert findings(db, POSITIONS, MONDAY) == []


def test_currencies_are_no_positions(db: Database) -> None:
    rows.snapshot(db, Broker.IB, MONDAY)
    write(db, rows.movement("a", 100, MONDAY), rows.position(100, MONDAY))
    write(db, rows.position(500, MONDAY, broker_position_id="12", symbol="EUR.USD", asset_class=AssetClass.FX))
    assert findings(db, POSITIONS, MONDAY) == []
    assert compared(db, POSITIONS, MONDAY) == 1


# Lots ---------------------------------------------------------------------------------------------------------


def test_open_lots_equal_on_every_day(db: Database) -> None:
    write(
        db,
        rows.lot("a", 100, "1001", MONDAY),
        rows.lot("b", 50, "600.5", TUESDAY),
        rows.realized(
            "c:a", 40, WEDNESDAY, close_trade_uid="c", lot_uid="a", opened_at=at(MONDAY), cost_basis=Decimal("400.4")
        ),
    )
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
    write(db, rows.lot("a", 100, 1001, MONDAY))
    write(db, rows.told_lot("1", 100, "1001.02", MONDAY, MONDAY))
    (cost,) = findings(db, LOTS, MONDAY)
    assert (cost.subject, cost.expected, cost.actual, cost.currency) == (
        f"AAPL {CONID} 2026-03-02T15:00:00Z", Decimal("1001.02"), 1001, "USD",
    )  # fmt: skip
    write(db, rows.told_lot("1", 90, "1001", MONDAY, MONDAY))
    (quantity,) = findings(db, LOTS, MONDAY)
    assert (quantity.expected, quantity.actual, quantity.currency) == (90, 100, None)
    write(db, rows.told_lot("1", 100, "1001", MONDAY, date(2026, 2, 27)))
    assert sorted(cause or "" for *_, cause in differences(findings(db, LOTS, MONDAY))) == ["MISSING_A", "MISSING_B"]


def test_lots_of_one_moment_are_summed(db: Database) -> None:
    write(db, rows.lot("a", 60, 600, MONDAY), rows.lot("b", 40, 401, MONDAY))
    write(db, rows.told_lot("1", 100, 1001, MONDAY, MONDAY))
    assert findings(db, LOTS, MONDAY) == []


def test_without_a_moment_the_whole_instrument_is_compared(db: Database) -> None:
    write(db, rows.lot("a", 60, 600, MONDAY), rows.lot("b", 40, 401, TUESDAY))
    write(
        db, rows.told_lot("1", 60, 600, TUESDAY, MONDAY), rows.told_lot("2", 40, 401, TUESDAY, MONDAY, opened_at=None)
    )
    assert findings(db, LOTS, TUESDAY) == []
    write(db, rows.told_lot("2", 40, 404, TUESDAY, MONDAY, opened_at=None))
    assert differences(findings(db, LOTS, TUESDAY)) == [(f"AAPL {CONID}", 1004, 1001, None)]


def test_short_lots_and_lots_that_moved_are_followed(db: Database) -> None:
    write(
        db,
        rows.lot("a", -100, -999, MONDAY),
        rows.realized(
            "c:a", 40, TUESDAY, direction=Direction.SHORT, close_trade_uid="c", lot_uid="a", opened_at=at(MONDAY),
            cost_basis=Decimal("-399.6"),
        ),
        made(LotMove, move_uid="m", lot_uid="a", movement_uid="x", moved_on=WEDNESDAY, qty=Decimal(-10),
             cost_basis=Decimal("-99.9")),
    )  # fmt: skip
    write(
        db,
        rows.told_lot("1", -60, "-599.4", TUESDAY, MONDAY),
        rows.told_lot("1", -50, "-499.5", WEDNESDAY, MONDAY),
    )
    assert findings(db, LOTS, MONDAY, WEDNESDAY) == []
    query(db.url, "DELETE FROM lot_moves")
    assert [one.business_date for one in findings(db, LOTS, MONDAY, WEDNESDAY)] == [WEDNESDAY]


def test_where_ib_tells_sums_only_the_cost_of_the_whole_is_compared(db: Database) -> None:
    write(db, made(Instrument, ib_conid=CONID), rows.lot("a", 100, 1001, MONDAY), rows.lot("b", 100, 1003, TUESDAY))
    write(db, rows.position(200, TUESDAY, average_cost=Decimal("10.0203")))
    assert findings(db, LOTS, TUESDAY) == []
    assert compared(db, LOTS, TUESDAY) == 1
    write(db, rows.position(200, TUESDAY, average_cost=Decimal("10.04")))
    assert differences(findings(db, LOTS, TUESDAY)) == [(f"AAPL {CONID}", 2008, 2004, None)]
    write(db, rows.position(201, TUESDAY, average_cost=Decimal("10.04")))
    assert findings(db, LOTS, TUESDAY) == [], "another quantity is the finding of the positions"


def test_an_unknown_cost_is_not_compared_but_its_quantity_is(db: Database) -> None:
    write(db, rows.lot("a", 100, None, MONDAY), rows.told_lot("1", 100, 1001, MONDAY, MONDAY))
    assert findings(db, LOTS, MONDAY) == []
    write(db, rows.told_lot("1", 99, 1001, MONDAY, MONDAY))
    assert len(findings(db, LOTS, MONDAY)) == 1


def test_lots_after_a_stop_are_not_compared(db: Database) -> None:
    write(db, rows.lot("a", 100, 1001, MONDAY), rows.told_lot("1", 90, 900, TUESDAY, MONDAY))
    assert len(findings(db, LOTS, TUESDAY)) == 1
    write(db, stop(TUESDAY))
    assert findings(db, LOTS, TUESDAY) == []


def test_a_closing_that_is_reported_later_is_no_difference_before(db: Database) -> None:
    closed = {"close_trade_uid": "c", "lot_uid": "a", "opened_at": at(MONDAY), "cost_basis": Decimal(1001)}
    write(db, rows.lot("a", 100, 1001, MONDAY), rows.realized("c:a", 100, FRIDAY, **closed))
    write(db, rows.told_lot("1", 100, 1001, FRIDAY, MONDAY))
    assert len(findings(db, LOTS, FRIDAY)) == 1
    write(db, rows.trade("c", -100, FRIDAY, report_date=NEXT_MONDAY))
    assert findings(db, LOTS, FRIDAY) == []


# Realized P&L -------------------------------------------------------------------------------------------------


def closing(db: Database, gain: str | None, told: str | None, **values: Any) -> None:
    """A closing trade in two pieces, the first of which gained 1."""
    effect = values.pop("position_effect", "CLOSE")
    write(db, rows.trade("c", -100, MONDAY), rows.figures("c", told, MONDAY, position_effect=effect))
    if gain is not None:
        own = {"close_trade_uid": "c", "lot_uid": "a"}
        write(
            db,
            rows.realized("c:a", 50, MONDAY, realized_pnl=Decimal(1), **own),
            rows.realized("c:b", 50, MONDAY, realized_pnl=Decimal(gain) - 1, **own | values),
        )


@pytest.mark.parametrize("told", ["12.34", "12.35", "12.33"])
def test_a_closing_agrees_to_the_cent(db: Database, told: str) -> None:
    closing(db, "12.34", told)
    assert findings(db, REALIZED, MONDAY) == []
    assert compared(db, REALIZED, MONDAY) == 1


@pytest.mark.parametrize("told", ["12.351", "-12.34", "0"])
def test_a_closing_that_gained_another_amount_is_a_finding(db: Database, told: str) -> None:
    closing(db, "12.34", told)
    (found,) = findings(db, REALIZED, MONDAY)
    assert (found.subject, found.expected, found.actual) == ("c", Decimal(told), Decimal("12.34"))
    assert (found.severity, found.currency, found.evidence["pieces"]) == (Severity.ERROR, "USD", 2)


@pytest.mark.parametrize("source", [BasisSource.BROKER_CLOSE, BasisSource.UNKNOWN])
def test_a_basis_outside_the_proof_proves_nothing(db: Database, source: BasisSource) -> None:
    closing(db, "12.34", "99", basis_source=source)
    assert (findings(db, REALIZED, MONDAY), compared(db, REALIZED, MONDAY)) == ([], 0)


@pytest.mark.parametrize("source", [BasisSource.BROKER_LOT, BasisSource.BROKER_CLOSED_LOT, BasisSource.PERSON])
def test_a_basis_of_lot_data_or_a_person_is_in_the_proof(db: Database, source: BasisSource) -> None:
    closing(db, "12.34", "99", basis_source=source)
    assert len(findings(db, REALIZED, MONDAY)) == 1


def test_a_gain_of_zero_beside_an_unknown_effect_is_not_comparable(db: Database) -> None:
    closing(db, "12.34", "0", position_effect=None)
    assert (findings(db, REALIZED, MONDAY), compared(db, REALIZED, MONDAY)) == ([], 0)


def test_a_gain_of_which_we_have_no_piece_is_a_finding(db: Database) -> None:
    closing(db, None, "12.34")
    assert differences(findings(db, REALIZED, MONDAY)) == [("c", Decimal("12.34"), None, "MISSING_B")]
    write(db, stop(MONDAY))
    (found,) = findings(db, REALIZED, MONDAY)
    assert (found.cause, found.severity) == ("CORP_ACTION", Severity.WARN)


def test_an_opening_and_a_cancelled_trade_are_no_closings(db: Database) -> None:
    closing(db, None, "0", position_effect="OPEN")
    assert (findings(db, REALIZED, MONDAY), compared(db, REALIZED, MONDAY)) == ([], 0)
    closing(db, None, "12.34")
    query(db.url, "UPDATE trades_norm SET effective = false")
    assert findings(db, REALIZED, MONDAY) == []


# Options ------------------------------------------------------------------------------------------------------


def test_an_option_that_is_still_held_after_its_expiry_is_a_finding(db: Database) -> None:
    write(db, option(), rows.movement("a", -2, MONDAY, **OPTION))
    rows.covered(db, MONDAY, FRIDAY)
    assert findings(db, EXPIRY, MONDAY, date(2026, 3, 31)) == [], "nothing is known of Monday yet"
    rows.covered(db, FRIDAY, NEXT_MONDAY)
    (found,) = findings(db, EXPIRY, MONDAY, date(2026, 3, 31))
    assert (found.subject, found.business_date, found.actual) == (OPTION["symbol"], NEXT_MONDAY, -2)
    assert compared(db, EXPIRY, NEXT_MONDAY) == 1
    write(db, rows.movement("b", 2, FRIDAY, kind=MovementKind.EXPIRATION, **OPTION))
    assert findings(db, EXPIRY, MONDAY, date(2026, 3, 31)) == []
    assert compared(db, EXPIRY, NEXT_MONDAY) == 1


def test_an_option_of_futu_is_judged_once_a_later_snapshot_is_there(db: Database) -> None:
    own = OPTION | {"broker": Broker.FUTU, "instrument_id": "US.AAPL260306P200000"}
    write(db, option(), rows.movement("a", -2, MONDAY, **own))
    assert findings(db, EXPIRY, NEXT_MONDAY) == []
    rows.snapshot(db, Broker.FUTU, NEXT_MONDAY, key="2026-03-09")
    assert [one.broker for one in findings(db, EXPIRY, NEXT_MONDAY)] == [Broker.FUTU]


def assigned(db: Database, shares: int | None, *, price: int = 200, right: OptionRight = OptionRight.PUT) -> None:
    """A short option of two contracts that was assigned, and the shares that moved."""
    event: dict[str, Any] = {"kind": MovementKind.ASSIGNMENT, "link_id": "L1"}
    write(db, option(right=right), rows.movement("o", 2, FRIDAY, price=Decimal(0), place=4, **event, **OPTION))
    if shares is not None:
        write(db, rows.movement("s", shares, FRIDAY, price=Decimal(price), place=5, **event))


@pytest.mark.parametrize(("right", "shares"), [(OptionRight.PUT, 200), (OptionRight.CALL, -200)])
def test_a_delivery_with_its_shares_is_no_finding(db: Database, right: OptionRight, shares: int) -> None:
    assigned(db, shares, right=right)
    assert findings(db, LEGS, FRIDAY) == []
    assert compared(db, LEGS, FRIDAY) == 1


@pytest.mark.parametrize(
    ("shares", "price", "found"),
    [
        (None, 200, (0, "MISSING_B")),
        (100, 200, (100, "LIFECYCLE")),
        (-200, 200, (-200, "LIFECYCLE")),
        (200, 199, (200, "LIFECYCLE")),
    ],
)
def test_missing_wrong_or_wrongly_priced_shares_are_a_finding(
    db: Database, shares: int | None, price: int, found: tuple[int, str]
) -> None:
    assigned(db, shares, price=price)
    assert differences(findings(db, LEGS, FRIDAY)) == [("L1", 200, *found)]


def test_a_settlement_in_cash_needs_no_shares(db: Database) -> None:
    assigned(db, None)
    assert len(findings(db, LEGS, FRIDAY)) == 1
    query(db.url, "UPDATE position_movements SET price = 3")
    assert findings(db, LEGS, FRIDAY) == []
    query(db.url, "UPDATE position_movements SET price = 0")
    write(db, made(Instrument, asset_class=AssetClass.INDEX))
    assert findings(db, LEGS, FRIDAY) == []


# Stops --------------------------------------------------------------------------------------------------------


def test_every_stop_of_the_ledger_is_an_error(db: Database) -> None:
    write(db, rows.movement("a", 1, MONDAY))
    assert findings(db, RULES, MONDAY) == []
    assert compared(db, RULES, MONDAY) == 1
    write(db, stop(MONDAY))
    (found,) = findings(db, RULES, MONDAY)
    assert (found.severity, found.cause, found.evidence["reason"]) == (Severity.ERROR, "CORP_ACTION", "a spin-off")


# Value --------------------------------------------------------------------------------------------------------


def bridge(db: Database, **figures: str) -> None:
    told = {"startingValue": "10000", "endingValue": "10585.41", "twr": "0.3", "dividends": "150",
            "withholdingTax": "-10", "changeInDividendAccruals": "-50", "interest": "-0.12",
            "changeInInterestAccruals": "0.03", "commissions": "-5", "fxTranslation": "0.5"}  # fmt: skip
    numbers = {name: Decimal(text) for name, text in (told | figures).items()}
    write(
        db,
        made(
            BrokerFigures, figures_uid="n", business_date=MONDAY, section="ChangeInNAV", subject="", from_date=MONDAY,
            to_date=MONDAY, figures=numbers,
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    "figures",
    [
        {"mtm": "500"},
        {"mtm": "0", "realized": "620", "changeInUnrealized": "-120"},
        {"mtm": "500", "realized": "620", "changeInUnrealized": "-120"},
        {"mtm": "500.01"},
    ],
)
def test_a_bridge_closes_with_either_form_of_gains(db: Database, figures: dict[str, str]) -> None:
    bridge(db, **figures)
    assert findings(db, NAV, MONDAY) == []
    assert compared(db, NAV, MONDAY) == 1


@pytest.mark.parametrize("figures", [{"mtm": "501"}, {"mtm": "500", "dividends": "140"}, {"realized": "620"}])
def test_a_bridge_that_does_not_close_is_a_finding(db: Database, figures: dict[str, str]) -> None:
    bridge(db, **figures)
    (found,) = findings(db, NAV, MONDAY)
    assert (found.severity, found.expected, found.cause) == (Severity.ERROR, Decimal("10585.41"), None)


def test_a_line_that_is_not_known_is_no_part_of_the_sum_but_is_told(db: Database) -> None:
    bridge(db, mtm="490", newLine="10")
    (found,) = findings(db, NAV, MONDAY)
    assert (found.severity, found.cause, found.actual) == (Severity.WARN, "REFERENCE_DATA", Decimal("10575.41"))
    assert found.evidence["unknown_lines"] == {"newLine": 10}
    bridge(db, mtm="500", newLine="10")
    assert findings(db, NAV, MONDAY) == []
    bridge(db, mtm="400", newLine="10")
    assert [one.severity for one in findings(db, NAV, MONDAY)] == [Severity.ERROR]


def test_a_statement_without_both_values_is_not_compared(db: Database) -> None:
    bridge(db, mtm="1")
    query(db.url, "UPDATE broker_figures SET figures = figures - 'endingValue'")
    assert (findings(db, NAV, MONDAY), compared(db, NAV, MONDAY)) == ([], 0)


def test_every_check_of_the_ledger_is_in_the_catalogue() -> None:
    ids = {CHECKS[name].check_id for name in (POSITIONS, LOTS, EXPIRY, LEGS, RULES, REALIZED, NAV)}
    assert ids == {"C02", "C03", "C05", "C06", "C08", "D01", "D08"}
