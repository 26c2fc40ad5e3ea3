"""The checks that prove the ledger: each notices what it is for, and is silent where both sides agree."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.ledger import BasisSource, Direction, MovementKind
from apex_pipeline.domain.models import AssetClass, Broker, Instrument, OptionRight
from apex_pipeline.domain.statements import BrokerFigures
from apex_pipeline.store.db import Database
from tests.store import check_rows as rows
from tests.store.check_rows import compared, differences, findings, made
from tests.store.position_rows import FRIDAY, MONDAY, NEXT_MONDAY, stop, write
from tests.store.rows import query

EXPIRY = CheckName.NO_OPTION_OUTLIVES_ITS_EXPIRY
LEGS = CheckName.EVERY_DELIVERY_HAS_BOTH_LEGS
REALIZED = CheckName.REALIZED_PNL_EQUALS_THE_BROKERS
NAV = CheckName.NAV_BRIDGE_CLOSES
OPTION: dict[str, Any] = {
    "asset_class": AssetClass.OPTION, "symbol": "AAPL260306P200", "instrument_id": "7001", "multiplier": Decimal(100)
}  # fmt: skip


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


def summary(told: str, first: date = MONDAY, **values: Any) -> BrokerFigures:
    """What the broker says that a contract gained in some days."""
    figures = {"totalRealizedPnl": told, "transferredPnl": 0, **values}
    return made(
        BrokerFigures, figures_uid=f"f{first}", section="FIFOPerformanceSummaryInBase", subject="AAPL", figures=figures,
        business_date=FRIDAY, from_date=first, to_date=FRIDAY,
    )  # fmt: skip


def by_contract(db: Database, told: str, **values: Any) -> list[tuple[Any, ...]]:
    base = {"base_currency": "USD", "realized_pnl_base": Decimal("6.17")}
    closing(db, "12.34", "12.34", **base)
    query(db.url, "UPDATE realized_pnl SET base_currency = 'USD', realized_pnl_base = realized_pnl")
    write(db, summary(told, **values))
    return differences(findings(db, REALIZED, MONDAY, FRIDAY))


def test_the_gain_of_a_contract_is_that_of_the_brokers_summary(db: Database) -> None:
    assert by_contract(db, "12.34") == []


def test_another_gain_of_a_contract_is_a_finding_of_the_days_of_the_statement(db: Database) -> None:
    assert by_contract(db, "13.34") == [("U1 AAPL 2026-03-02..2026-03-06", Decimal("13.34"), Decimal("12.34"), None)]
    query(db.url, "UPDATE realized_pnl SET basis_source = 'UNKNOWN' WHERE realized_uid = 'c:a'")
    assert findings(db, REALIZED, MONDAY, FRIDAY) == [], "a piece is not in the proof"


def test_a_contract_of_which_something_was_transferred_or_cancelled_is_not_compared(db: Database) -> None:
    assert by_contract(db, "13.34", transferredPnl=2) == []
    query(db.url, "DELETE FROM broker_figures")
    write(db, summary("13.34"), rows.trade("k", 5, MONDAY, effective=False))
    assert findings(db, REALIZED, MONDAY, FRIDAY) == []


# Options ------------------------------------------------------------------------------------------------------


def test_an_option_that_is_still_held_after_its_expiry_is_a_finding(db: Database) -> None:
    write(db, option(), rows.movement("a", -2, MONDAY, **OPTION))
    rows.covered(db, MONDAY, FRIDAY)
    assert findings(db, EXPIRY, MONDAY, date(2026, 3, 31)) == [], "nothing is known of Monday yet"
    rows.covered(db, FRIDAY, NEXT_MONDAY)
    (found,) = findings(db, EXPIRY, MONDAY, date(2026, 3, 31))
    assert (found.subject, found.business_date, found.actual) == (OPTION["symbol"], NEXT_MONDAY, -2)
    assert (found.severity, found.cause, found.evidence["rows"]) == (Severity.ERROR, "LIFECYCLE", ["a"])
    assert compared(db, EXPIRY, NEXT_MONDAY) == 1
    write(db, rows.movement("b", 2, FRIDAY, kind=MovementKind.EXPIRATION, **OPTION))
    assert findings(db, EXPIRY, MONDAY, date(2026, 3, 31)) == []
    assert compared(db, EXPIRY, NEXT_MONDAY) == 1


def test_the_end_of_an_option_is_due_on_the_next_session_of_its_exchange(db: Database) -> None:
    query(db.url, "INSERT INTO market_days VALUES ('XNYS', %s, false, false, NULL, NULL)", NEXT_MONDAY)
    query(db.url, "INSERT INTO market_days VALUES ('XNYS', %s, true, true, NULL, NULL)", date(2026, 3, 10))
    write(db, replace(option(), symbol="US.X"), rows.movement("a", -2, MONDAY, **{**OPTION, "symbol": "US.X"}))
    rows.covered(db, MONDAY, NEXT_MONDAY)
    assert (findings(db, EXPIRY, NEXT_MONDAY), compared(db, EXPIRY, NEXT_MONDAY)) == ([], 0)
    rows.covered(db, MONDAY, date(2026, 3, 10))
    assert [one.business_date for one in findings(db, EXPIRY, MONDAY, date(2026, 3, 31))] == [date(2026, 3, 10)]


def test_an_end_that_the_broker_knows_and_nobody_told_is_what_is_lacking(db: Database) -> None:
    write(db, option(), rows.movement("a", -2, MONDAY, **OPTION))
    rows.covered(db, MONDAY, NEXT_MONDAY)
    rows.snapshot(db, Broker.IB, NEXT_MONDAY)
    (found,) = findings(db, EXPIRY, NEXT_MONDAY)
    assert found.evidence["told"] == "0"
    (change,) = found.evidence["set_right"]
    row = change["row"]
    assert (change["do"], change["table"], row["kind"]) == ("insert", "trades_norm", "EXPIRATION")
    assert (row["side"], row["qty"], row["price"], row["trade_date"]) == ("BUY", "2", "0", "2026-03-06")
    write(db, rows.position(-2, NEXT_MONDAY, broker_position_id="7001", symbol=OPTION["symbol"]))
    (found,) = findings(db, EXPIRY, NEXT_MONDAY)
    assert (found.severity, "set_right" in found.evidence) == (Severity.ERROR, False), "IB should not hold it either"


def test_an_option_that_only_its_end_moved_was_held_before(db: Database) -> None:
    write(db, option(), rows.movement("a", 2, FRIDAY, kind=MovementKind.ASSIGNMENT, **OPTION))
    rows.covered(db, MONDAY, NEXT_MONDAY)
    rows.snapshot(db, Broker.IB, NEXT_MONDAY)
    unopened = {"direction": Direction.SHORT, "close_trade_uid": "a", "basis_source": BasisSource.UNKNOWN}
    assert [one.cause for one in findings(db, EXPIRY, NEXT_MONDAY)] == ["LIFECYCLE"]
    write(db, rows.realized("a:?", 2, FRIDAY, **unopened, **OPTION))
    (found,) = findings(db, EXPIRY, NEXT_MONDAY)
    assert (found.cause, "set_right" in found.evidence) == ("OPENING_BALANCE", False)


def test_an_option_of_futu_is_judged_once_a_later_snapshot_is_there(db: Database) -> None:
    own = OPTION | {"broker": Broker.FUTU, "instrument_id": "US.AAPL260306P200000"}
    write(db, option(), rows.movement("a", -2, MONDAY, **own))
    assert findings(db, EXPIRY, NEXT_MONDAY) == []
    rows.snapshot(db, Broker.FUTU, NEXT_MONDAY, key="2026-03-09")
    assert [one.broker for one in findings(db, EXPIRY, NEXT_MONDAY)] == [Broker.FUTU]


@pytest.mark.parametrize(("day", "severity", "cause"), [(9, "WARN", "TIMING"), (11, "ERROR", "LIFECYCLE")])
def test_futu_may_show_an_option_for_four_days_after_its_expiry(
    db: Database, day: int, severity: str, cause: str
) -> None:
    own = OPTION | {"broker": Broker.FUTU, "instrument_id": "US.AAPL260306P200000"}
    shown = date(2026, 3, day)
    write(db, option(), rows.movement("a", -2, MONDAY, **own))
    rows.snapshot(db, Broker.FUTU, shown, key=str(shown))
    write(db, rows.position(-2, shown, broker=Broker.FUTU, broker_position_id="1", symbol=OPTION["symbol"]))
    (found,) = findings(db, EXPIRY, NEXT_MONDAY)
    assert (found.severity, found.cause, found.business_date) == (severity, cause, NEXT_MONDAY)


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


def test_the_missing_shares_of_a_delivery_are_those_that_the_funds_tell(db: Database) -> None:
    assigned(db, None)
    query(db.url, "UPDATE instruments SET underlying = 'AAPL'")
    write(db, made(Instrument, symbol="AAPL", asset_class=AssetClass.STOCK, ib_conid="265598"))
    (found,) = findings(db, LEGS, FRIDAY)
    assert "set_right" not in found.evidence, "nobody tells of the shares"
    query(
        db.url,
        "INSERT INTO broker_funds (line_uid, broker, account_id, business_date, currency, level, symbol, amount, "
        "broker_transaction_id, source) VALUES ('l', 'IB', 'U1', %s, 'USD', 'Currency', 'AAPL', -40000, '77', 'FLEX')",
        FRIDAY,
    )
    (found,) = findings(db, LEGS, FRIDAY)
    (change,) = found.evidence["set_right"]
    row = change["row"]
    assert (row["broker_trade_id"], row["kind"], row["side"], row["qty"]) == ("77", "ASSIGNMENT", "BUY", "200")
    assert (row["price"], row["instrument_id"], row["link_id"]) == ("200", "265598", "L1")


def test_shares_that_no_option_delivered_are_a_finding_and_the_option_is_the_one_that_is_held(db: Database) -> None:
    write(db, replace(option(), underlying="AAPL"), rows.movement("o", -2, MONDAY, **OPTION))
    event: dict[str, Any] = {"kind": MovementKind.ASSIGNMENT, "link_id": "L1", "price": Decimal(200)}
    write(db, rows.movement("s", 200, FRIDAY, **event))
    (found,) = findings(db, LEGS, FRIDAY)
    assert (found.subject, found.expected, found.actual, found.cause) == ("L1", 200, 0, "MISSING_B")
    (change,) = found.evidence["set_right"]
    row = change["row"]
    assert (row["symbol"], row["side"], row["qty"], row["kind"]) == (OPTION["symbol"], "BUY", "2", "ASSIGNMENT")
    query(db.url, "UPDATE position_movements SET qty = -3 WHERE movement_uid = 'o'")
    (found,) = findings(db, LEGS, FRIDAY)
    assert "set_right" not in found.evidence, "another quantity than these shares"


def test_an_end_that_the_broker_tells_and_no_movement_knows_is_a_finding(db: Database) -> None:
    rows.covered(db, MONDAY, FRIDAY)
    query(
        db.url,
        "INSERT INTO option_events (event_uid, broker, account_id, business_date, broker_kind, symbol, asset_class, "
        "qty, source) VALUES ('e', 'IB', 'U1', %s, 'Expiration', %s, 'OPTION', -2, 'FLEX')",
        FRIDAY, OPTION["symbol"],
    )  # fmt: skip
    assert differences(findings(db, EXPIRY, FRIDAY)) == [("e", -2, 0, "MISSING_B")]
    write(db, rows.movement("b", 2, FRIDAY, kind=MovementKind.EXPIRATION, **OPTION))
    assert findings(db, EXPIRY, FRIDAY) == []


def test_a_settlement_in_cash_needs_no_shares(db: Database) -> None:
    assigned(db, None)
    assert len(findings(db, LEGS, FRIDAY)) == 1
    query(db.url, "UPDATE position_movements SET price = 3")
    assert findings(db, LEGS, FRIDAY) == []
    query(db.url, "UPDATE position_movements SET price = 0")
    write(db, made(Instrument, asset_class=AssetClass.INDEX))
    assert findings(db, LEGS, FRIDAY) == []


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


@pytest.mark.parametrize("told", [{"mtm": "1100"}, {"mtm": "0", "realized": "1100"}])
def test_a_bridge_is_off_by_what_its_one_form_of_gains_is_off(db: Database, told: dict[str, str]) -> None:
    bridge(db, **told)
    (found,) = findings(db, NAV, MONDAY)
    assert found.delta == 600, "control: without any gain it would be nearer"


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
    assert {CHECKS[name].check_id for name in (EXPIRY, LEGS, REALIZED, NAV)} == {"C05", "C06", "D01", "D08"}
