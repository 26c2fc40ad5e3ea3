"""Closings consume the lots that Interactive Brokers says, and where they do not, the first of a row tells why."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.ledger import BasisSource, LedgerStop, LotMethod
from apex_pipeline.domain.statements import ClosedLot
from apex_pipeline.store.db import Database
from tests.store.check_rows import (
    ACCOUNT,
    CONID,
    at,
    compared,
    differences,
    figures,
    findings,
    lot,
    made,
    realized,
    trade,
    write,
)
from tests.store.rows import query

CHECK = CheckName.LOTS_ARE_CLOSED_IN_THE_BROKERS_ORDER
FIRST, SECOND, THIRD = (date(2026, 3, day) for day in (2, 3, 4))
CLOSED, AFTER = date(2026, 3, 10), date(2026, 3, 11)


def told(
    uid: str, qty: str, opened: date, closed: date = CLOSED, *, cost: str = "50", by: str | None = None, **values: Any
) -> ClosedLot:
    """A piece as the broker matched it; `by` is its id of the trade that opened it."""
    usual: dict[str, Any] = {
        "qty": Decimal(qty), "opened_at": at(opened), "closed_at": at(closed), "cost_basis": Decimal(cost),
        "open_trade_id": by,
    }  # fmt: skip
    return made(ClosedLot, lot_uid=f"Lot/{closed}/{uid}", business_date=closed, **(usual | values))


def piece(uid: str, qty: int, opened: date, closed: date = CLOSED, *, cost: str = "50", **values: Any) -> Any:
    """A piece of ours: the trade is named by its day, the lot by its own."""
    usual: dict[str, Any] = {
        "close_trade_uid": f"close {closed}", "lot_uid": f"lot {opened}", "open_trade_uid": f"lot {opened}",
        "opened_at": at(opened), "cost_basis": Decimal(cost), "realized_pnl": Decimal(5),
    }  # fmt: skip
    return realized(f"{closed} {uid}", qty, closed, **(usual | values))


def three_lots(db: Database, left: int = 10) -> None:
    """Three lots of ten at 50; of each, `left` are still there."""
    for opened in (FIRST, SECOND, THIRD):
        write(db, lot(f"lot {opened}", 10, 50, opened, remaining_qty=Decimal(left), open_trade_uid=f"lot {opened}"))
        write(db, trade(f"lot {opened}", 10, opened, broker_trade_id=f"id {opened}"))


def test_closings_of_the_same_lots_are_no_finding(db: Database) -> None:
    """The broker tells one lot in two rows; moments are told by the second."""
    three_lots(db)
    moment = at(FIRST) + timedelta(milliseconds=250)
    write(db, piece("a", 10, FIRST, opened_at=moment), piece("b", 4, SECOND, cost="20"))
    write(db, told("1", "6", FIRST, cost="30"), told("2", "4", FIRST, cost="20"), told("3", "4", SECOND, cost="20"))
    assert findings(db, CHECK, CLOSED) == []
    assert compared(db, CHECK, CLOSED) == 1
    assert (CHECKS[CHECK].check_id, CHECKS[CHECK].severity) == ("D02", Severity.ERROR)


def test_another_order_is_a_convention_with_the_lots_that_the_broker_chose(db: Database) -> None:
    """The broker closed the newest lot: a choice of lots for this closing would make both sides agree."""
    three_lots(db)
    write(db, piece("a", 10, FIRST), told("1", "10", THIRD, by=f"id {THIRD}"))
    [found] = findings(db, CHECK, CLOSED)
    assert differences([found]) == [(f"close {CLOSED}", 10, 0, "CONVENTION")]
    assert (found.severity, found.currency, found.business_date) == (Severity.ERROR, None, CLOSED)
    assert found.evidence["rows"] == [f"{CLOSED} a", f"broker_closed_lots/Lot/{CLOSED}/1"]
    rule, choice = found.evidence["set_right"]
    assert {name: rule["row"][name] for name in ("account_id", "rule", "from_date", "value")} == {
        "account_id": ACCOUNT, "rule": "LOT_METHOD", "from_date": str(CLOSED), "value": "SPECIFIC",
    }  # fmt: skip
    assert choice["table"] == "lot_selections"
    assert choice["row"] == {"close_trade_uid": f"close {CLOSED}", "open_trade_uid": f"lot {THIRD}", "qty": "10"}


def test_a_part_of_the_same_lots_is_counted(db: Database) -> None:
    three_lots(db)
    write(db, piece("a", 10, FIRST), piece("b", 5, SECOND, cost="25"))
    write(db, told("1", "10", FIRST), told("2", "5", THIRD, cost="25"))
    assert differences(findings(db, CHECK, CLOSED)) == [(f"close {CLOSED}", 15, 10, "CONVENTION")]


def test_another_quantity_is_told_as_such(db: Database) -> None:
    three_lots(db)
    write(db, piece("a", 8, FIRST, cost="40"), told("1", "10", FIRST))
    [found] = findings(db, CHECK, CLOSED)
    assert differences([found]) == [(f"close {CLOSED}", 10, 8, None)]
    assert found.evidence["compared"] == "quantity closed"


def test_an_opening_that_we_do_not_have_is_missing_here(db: Database) -> None:
    three_lots(db)
    before = FIRST - timedelta(days=20)
    write(db, piece("a", 10, FIRST), told("1", "10", before, by="unknown"))
    [found] = findings(db, CHECK, CLOSED)
    assert found.cause == "MISSING_B"
    assert "set_right" not in found.evidence


def test_a_lot_of_a_known_trade_at_another_moment_contradicts_that_trade(db: Database) -> None:
    three_lots(db)
    write(db, piece("a", 10, FIRST), told("1", "10", FIRST - timedelta(days=3), by=f"id {FIRST}"))
    [found] = findings(db, CHECK, CLOSED)
    assert (found.cause, found.evidence["contradicts_itself"]) == (None, True)


def test_lots_that_do_not_fit_the_brokers_own_gain_are_no_other_method(db: Database) -> None:
    """It names a dearer lot, but counts the gain of ours."""
    three_lots(db)
    write(db, piece("a", 10, FIRST), told("1", "10", THIRD, cost="70", by=f"id {THIRD}"))
    write(db, figures(f"close {CLOSED}", "5", CLOSED))
    [found] = findings(db, CHECK, CLOSED)
    assert (found.cause, found.evidence["contradicts_itself"]) == (None, True)
    query(db.url, "UPDATE broker_trade_figures SET realized_pnl = -15")
    assert [one.cause for one in findings(db, CHECK, CLOSED)] == ["CONVENTION"]


def test_another_cost_of_the_same_lot_is_told_where_the_gain_agrees(db: Database) -> None:
    """Where the gain differs, that is what differs."""
    three_lots(db)
    write(db, piece("a", 10, FIRST), told("1", "10", FIRST, cost="51"), figures(f"close {CLOSED}", "5", CLOSED))
    [found] = findings(db, CHECK, CLOSED)
    assert differences([found]) == [(f"close {CLOSED}", 51, 50, None)]
    assert found.currency == "USD"
    query(db.url, "UPDATE broker_trade_figures SET realized_pnl = 4")
    assert findings(db, CHECK, CLOSED) == []


def test_what_follows_from_the_first_of_a_row_is_not_told_again(db: Database) -> None:
    """The closing of the next day gets the lot that the first one left."""
    three_lots(db)
    write(db, piece("a", 10, FIRST), told("1", "10", SECOND, by=f"id {SECOND}"))
    write(db, piece("b", 10, SECOND, AFTER), told("2", "10", FIRST, AFTER, by=f"id {FIRST}"))
    [found] = findings(db, CHECK, CLOSED, AFTER)
    assert found.business_date == CLOSED
    assert [change["row"]["open_trade_uid"] for change in found.evidence["set_right"][1:]] == [
        f"lot {SECOND}", f"lot {FIRST}",
    ]  # fmt: skip
    assert findings(db, CHECK, AFTER) == []


def test_another_row_begins_after_a_closing_that_agrees_with_a_lot_left(db: Database) -> None:
    """On the second day both close the rest of the oldest lot, although newer ones are left."""
    three_lots(db)
    query(db.url, "UPDATE lots SET remaining_qty = 0, closed_on = %s WHERE lot_uid = %s", AFTER, f"lot {FIRST}")
    later = AFTER + timedelta(days=1)
    for day, ours, theirs in ((CLOSED, FIRST, SECOND), (AFTER, FIRST, FIRST), (later, SECOND, THIRD)):
        write(db, piece("a", 2, ours, day, cost="10"), told("1", "2", theirs, day, cost="10"))
    assert [one.business_date for one in findings(db, CHECK, CLOSED, later)] == [CLOSED, later]


def test_a_row_is_told_again_after_a_month(db: Database) -> None:
    three_lots(db)
    later = CLOSED + timedelta(days=32)
    for day in (CLOSED, later):
        write(db, piece("a", 2, FIRST, day, cost="10"), told("1", "2", SECOND, day, cost="10"))
    assert [one.business_date for one in findings(db, CHECK, CLOSED, later)] == [CLOSED, later]


@pytest.mark.parametrize(
    "unknown",
    [
        {"lot_uid": None},
        {"cost_basis": None, "realized_pnl": None},
        {"opened_at": None},
        {"basis_source": BasisSource.BROKER_CLOSE},
        {"method": LotMethod.AVERAGE},
    ],
    ids=["no lot", "no basis", "no moment", "the basis is the broker's", "averaged"],
)
def test_closings_of_which_a_lot_is_not_known_are_not_compared(db: Database, unknown: dict[str, Any]) -> None:
    three_lots(db)
    write(db, piece("a", 10, FIRST, **unknown), told("1", "10", THIRD))
    assert findings(db, CHECK, CLOSED) == []
    assert compared(db, CHECK, CLOSED) == 0


def test_what_the_broker_tells_without_a_moment_or_we_do_not_close_is_not_compared(db: Database) -> None:
    three_lots(db)
    write(db, piece("a", 10, FIRST), told("1", "10", THIRD, opened_at=None), told("2", "10", THIRD, AFTER))
    assert findings(db, CHECK, CLOSED, AFTER) == []
    assert compared(db, CHECK, CLOSED, AFTER) == 0


def test_where_the_ledger_stopped_nothing_is_compared(db: Database) -> None:
    three_lots(db)
    write(db, piece("a", 10, FIRST), told("1", "10", THIRD))
    stop = {"stop_uid": "s", "business_date": THIRD, "reason_code": "NO_RULE", "reason": "a spin-off"}
    write(db, made(LedgerStop, instrument_id=CONID, **stop))
    assert findings(db, CHECK, CLOSED) == []
    assert compared(db, CHECK, CLOSED) == 0
