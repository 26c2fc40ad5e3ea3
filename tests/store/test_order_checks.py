"""The checks of orders and their trades: each notices what it is for, and is silent where both sides agree."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.domain.models import AssetClass, OrderStatus, Side, TradeKind
from apex_pipeline.store.db import Database
from tests.store import order_rows as rows
from tests.store.check_rows import at, compared, findings
from tests.store.order_rows import (
    CALL,
    FUTU,
    IB,
    MONDAY,
    PUT,
    SPREAD,
    SYMBOL,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    deal,
    fee,
    instrument,
    names,
    order,
    raw,
    set_right,
    uid,
    write,
)
from tests.store.rows import query

QUANTITY = CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES
AVERAGE = CheckName.AVERAGE_PRICE_IS_THE_MEAN_OF_ITS_TRADES
TOLD = CheckName.EVERY_ORDER_IS_TOLD_BY_ITS_BROKER
TRADED = CheckName.EVERY_FILLED_ORDER_HAS_TRADES
ORDER, STOCK = uid("1"), f"{uid('1')} {SYMBOL}"


@pytest.fixture(autouse=True)
def instruments(db: Database) -> None:
    write(db, *(instrument(symbol) for symbol in (SYMBOL, CALL, PUT)))


def combination(name: str = "1", **values: Any) -> list[Any]:
    """Two units of a call bought at 3 for each two puts sold at 1: a net price of 1."""
    whole: dict[str, Any] = {"legs": SPREAD, "avg_price": Decimal(1)} | values
    call, puts = deal(f"{name}1", name, 2, 3, symbol=CALL), deal(f"{name}2", name, -4, 1, symbol=PUT)
    return [order(name, 2, **whole), call, puts]


# Quantity (B01) ------------------------------------------------------------------------------------------------


def test_an_order_whose_trades_are_what_was_filled_is_no_finding(db: Database) -> None:
    write(db, order("1", "10.5"), deal("11", "1", "10.25"), deal("12", "1", "0.25", on=TUESDAY))
    write(db, order("1", 3, broker=IB), deal("11", "1", 3, broker=IB))
    write(db, order("2", 0, status=OrderStatus.CANCELLED), deal("21", "2", 5, effective=False, kind=TradeKind.CANCEL))
    write(db, *combination("3"))
    assert findings(db, QUANTITY, MONDAY, TUESDAY) == []
    assert compared(db, QUANTITY, MONDAY, TUESDAY) == 4


@pytest.mark.parametrize("alone", [True, False])
def test_a_missing_trade_is_a_finding_on_the_day_of_its_order_and_its_price_follows_from_the_average(
    db: Database, *, alone: bool
) -> None:
    write(db, order("1", 10, avg_price=Decimal("10.6")))
    if not alone:
        write(db, deal("11", "1", 4))
    (found,) = findings(db, QUANTITY, MONDAY)
    assert (found.subject, found.business_date, found.severity) == (STOCK, MONDAY, Severity.ERROR)
    assert (found.expected, found.actual, found.cause) == (10, 0 if alone else 4, "MISSING_B")
    assert names(found) == [ORDER] if alone else [ORDER, uid("11")]
    assert (found.evidence["average_price"], found.evidence["filled_qty"]) == ("10.6", "10")
    (change,) = found.evidence["set_right"]
    told = {name: change["row"][name] for name in ("trade_uid", "qty", "price", "side", "trade_date", "instrument_id")}
    missing = ("10", "10.6") if alone else ("6", "11")
    assert tuple(told.values()) == (uid("MISSING_1"), *missing, "BUY", "2026-03-02", "US.AAPL")
    set_right(db, found)
    assert findings(db, QUANTITY, MONDAY) == findings(db, AVERAGE, MONDAY) == findings(db, TRADED, MONDAY) == []
    assert query(db.url, "SELECT executed_at, amount FROM trades_norm WHERE trade_uid = %s", uid("MISSING_1")) == [
        (at(MONDAY) + timedelta(minutes=1), Decimal(106) if alone else Decimal(66))
    ]


def test_a_missing_trade_bears_the_fees_that_no_other_does(db: Database) -> None:
    write(db, order("1", 10), fee("commission", "1", "1.99"))
    (found,) = findings(db, QUANTITY, MONDAY)
    set_right(db, found)
    borne = "SELECT fee_uid, trade_uid, amount FROM fee_allocations"
    assert query(db.url, borne) == [(f"{ORDER}_1_commission", uid("MISSING_1"), Decimal("1.99"))]
    assert findings(db, CheckName.FEES_OF_ORDERS_ARE_ALLOCATED_TO_THEIR_TRADES, MONDAY) == []


def test_a_trade_too_many_is_a_finding_and_a_double_is_called_so(db: Database) -> None:
    write(db, order("1", 10), deal("11", "1", 5), deal("12", "1", 5, 11), deal("13", "1", 5))
    (found,) = findings(db, QUANTITY, MONDAY)
    assert (found.expected, found.actual, found.cause) == (10, 15, "DUPLICATE")
    (change,) = found.evidence["set_right"]
    assert (change["do"], change["key"]["trade_uid"]) == ("delete", "FUTU_100_12"), "by the average"
    query(db.url, "UPDATE trades_norm SET executed_at = executed_at + interval '1 second' WHERE broker_trade_id = '13'")
    (found,) = findings(db, QUANTITY, MONDAY)
    assert (found.expected, found.actual, found.cause) == (10, 15, "MISSING_A")
    set_right(db, found)
    assert query(db.url, "SELECT broker_trade_id FROM trades_norm ORDER BY 1") == [("11",), ("13",)], "by the average"
    assert findings(db, QUANTITY, MONDAY) == []


def test_more_trades_than_an_order_that_still_lives_knows_of_differ_in_time_only(db: Database) -> None:
    write(db, order("1", 4, status=OrderStatus.PARTIAL), deal("11", "1", 10))
    assert [(one.cause, one.severity) for one in findings(db, QUANTITY, MONDAY)] == [("TIMING", Severity.ERROR)]
    query(db.url, "UPDATE trades_norm SET trade_date = current_date")
    assert [(one.cause, one.severity) for one in findings(db, QUANTITY, MONDAY)] == [("TIMING", Severity.WARN)]


def test_a_trade_that_goes_the_other_way_counts_against_its_order(db: Database) -> None:
    write(db, order("1", 10), deal("11", "1", 7), deal("12", "1", -3))
    (found,) = findings(db, QUANTITY, MONDAY)
    assert (found.expected, found.actual, found.cause) == (10, 4, None)
    assert [trade["side"] for trade in found.evidence["trades"]] == ["BUY", "SELL"]
    set_right(db, found)
    assert findings(db, QUANTITY, MONDAY) == []


def test_a_trade_in_another_instrument_than_its_order_is_one_finding(db: Database) -> None:
    write(db, order("1", 10), deal("11", "1", 10, symbol=CALL))
    (found,) = findings(db, QUANTITY, MONDAY)
    assert (found.subject, found.expected, found.actual, found.cause) == (STOCK, 10, 0, "REFERENCE_DATA")
    set_right(db, found)
    assert findings(db, QUANTITY, MONDAY) == []
    terms = "SELECT symbol, asset_class, multiplier, amount, instrument_id FROM trades_norm"
    assert query(db.url, terms) == [("US.AAPL", "STOCK", 1, 100, "US.AAPL")]


def test_a_leg_that_lacks_a_deal_is_a_finding_of_the_leg(db: Database) -> None:
    whole, call, puts = combination()
    write(db, whole, call)
    (found,) = findings(db, QUANTITY, MONDAY)
    assert (found.subject, found.expected, found.actual) == (f"{ORDER} {PUT}", 4, 0)
    (change,) = found.evidence["set_right"]
    assert [change["row"][name] for name in ("symbol", "side", "qty", "price")] == [PUT, "SELL", "4", "1"]
    write(db, puts)
    assert findings(db, QUANTITY, MONDAY) == []


def test_a_combination_of_which_all_is_missing_is_one_finding_at_its_net_price(db: Database) -> None:
    write(db, combination()[0])
    (found,) = findings(db, QUANTITY, MONDAY)
    assert (found.subject, found.expected, found.actual, found.cause) == (f"{ORDER} US.SPREAD", 2, 0, "MISSING_B")
    assert [leg["filled"] for leg in found.evidence["wrong"]] == ["2", "4"]
    set_right(db, found)
    assert findings(db, QUANTITY, MONDAY) == findings(db, TRADED, MONDAY) == []
    paid = "SELECT sum(amount * CASE side WHEN 'BUY' THEN 1 ELSE -1 END) FROM trades_norm"
    assert query(db.url, paid) == [(200,)], "two units of 100 at 1"


def test_deals_of_a_combination_that_came_without_its_number_are_a_matter_of_reference(db: Database) -> None:
    write(db, combination()[0], deal("11", None, 2, symbol=CALL), deal("12", None, -4, symbol=PUT))
    assert [one.cause for one in findings(db, QUANTITY, MONDAY)] == ["REFERENCE_DATA"]
    assert [one.cause for one in findings(db, TRADED, MONDAY)] == ["REFERENCE_DATA"]


def test_a_deal_that_is_stored_and_not_in_the_ledger_was_lost_on_the_way(db: Database) -> None:
    write(db, order("1", 10), deal("11", "1", 4))
    raw(db, "trades", "11", {"qty": 4.0}, order_id="1")
    raw(db, "trades", "12", {"qty": 6.0}, order_id="1")
    (found,) = findings(db, QUANTITY, MONDAY)
    assert (found.cause, found.evidence["told_but_not_in_the_ledger"]) == ("PIPELINE", ["12"])
    assert names(found) == [ORDER, uid("11"), "trades_raw_futu/100/12"]
    rows.quarantined(db, "trades", "12")
    assert [one.cause for one in findings(db, QUANTITY, MONDAY)] == ["REFERENCE_DATA"]


def test_a_stored_trade_that_is_not_as_it_was_told_was_changed_on_the_way(db: Database) -> None:
    write(db, order("1", 10), deal("11", "1", 9))
    raw(db, "trades", "11", {"qty": 10.0}, order_id="1")
    (found,) = findings(db, QUANTITY, MONDAY)
    assert (found.cause, found.evidence["told_otherwise"]) == ("PIPELINE", [uid("11")])


def test_a_deal_that_was_taken_back_without_its_order_knowing_is_a_correction(db: Database) -> None:
    taken = deal("12", "1", 6, effective=False, kind=TradeKind.CANCEL)
    write(db, order("1", 10), deal("11", "1", 4), taken)
    (found,) = findings(db, QUANTITY, MONDAY)
    assert (found.expected, found.actual, found.cause) == (10, 4, "CORRECTION")
    set_right(db, found)
    assert findings(db, QUANTITY, MONDAY) == []


@pytest.mark.parametrize("check", [QUANTITY, TRADED])
def test_an_order_whose_fills_were_all_taken_back_needs_no_trades(db: Database, check: CheckName) -> None:
    gone = deal("11", "1", 10, effective=False, kind=TradeKind.CANCEL)
    write(db, order("1", 10, status=OrderStatus.CANCELLED, broker_status="FILL_CANCELLED"), gone)
    assert findings(db, check, MONDAY) == []
    query(db.url, "UPDATE orders_norm SET broker_status = 'CANCELLED_PART'")
    assert len(findings(db, check, MONDAY)) == 1


@pytest.mark.parametrize("check", [QUANTITY, TRADED])
def test_an_order_is_compared_when_all_its_days_were_loaded_with_their_deals(db: Database, check: CheckName) -> None:
    write(db, order("1", 10, updated_at=at(WEDNESDAY)))
    assert (len(findings(db, check, MONDAY)), compared(db, check, MONDAY)) == (1, 1), "no load is written down"
    rows.load(db, "futu_orders", MONDAY, THURSDAY)
    assert (findings(db, check, MONDAY), compared(db, check, MONDAY)) == ([], 0), "a paper account has no deals"
    rows.load(db, "futu_deals", MONDAY, TUESDAY)
    assert (findings(db, check, MONDAY), compared(db, check, MONDAY)) == ([], 0)
    rows.load(db, "futu_deals", WEDNESDAY, WEDNESDAY, covered=False)
    assert findings(db, check, MONDAY) == [], "a load that failed covers nothing"
    rows.load(db, "futu_deals", WEDNESDAY, WEDNESDAY)
    assert (len(findings(db, check, MONDAY)), compared(db, check, MONDAY)) == (1, 1)


def test_what_is_unknown_is_not_compared(db: Database) -> None:
    legs = [SPREAD[0], {**SPREAD[1], "ratio": None}]
    write(db, order("1", None), deal("11", "1", 5), order("2", 2, legs=legs), deal("21", "2", 1, symbol=CALL))
    assert (findings(db, QUANTITY, MONDAY), compared(db, QUANTITY, MONDAY)) == ([], 0)


# Average price (B02) -------------------------------------------------------------------------------------------


def test_an_average_within_its_tolerance_is_no_finding(db: Database) -> None:
    write(db, order("1", 3, avg_price=Decimal("10.333")), deal("11", "1", 2), deal("12", "1", 1, 11))
    write(db, order("2", 1, avg_price=Decimal("500.05")), deal("21", "2", 1, 500))
    write(db, order("1", 1, broker=IB, avg_price=Decimal("10.001")), deal("11", "1", 1, broker=IB))
    write(db, order("3", 1, avg_price=None), deal("31", "3", 1), order("4", 9), deal("41", "4", 1, 99))
    assert findings(db, AVERAGE, MONDAY) == []
    assert compared(db, AVERAGE, MONDAY) == 3, "neither without an average nor where the quantity differs"


def test_an_average_beyond_its_tolerance_is_a_finding_and_the_odd_trade_would_set_it_right(db: Database) -> None:
    write(db, order("1", 4), deal("11", "1", 1), deal("12", "1", 2), deal("13", "1", 1, 12))
    (found,) = findings(db, AVERAGE, MONDAY)
    assert (found.subject, found.business_date, found.severity, found.cause) == (ORDER, MONDAY, Severity.ERROR, None)
    assert (found.expected, found.actual, found.currency) == (10, Decimal("10.5"), "USD")
    assert names(found) == [ORDER, uid("11"), uid("12"), uid("13")]
    (change,) = found.evidence["set_right"]
    assert change["key"] == {"trade_uid": uid("13")}
    assert change["row"] == {"price": "10", "amount": "10", "trade_date": "2026-03-02"}
    set_right(db, found)
    assert findings(db, AVERAGE, MONDAY) == []


@pytest.mark.parametrize(("told", "cause"), [("10.01", "ROUNDING"), ("10.02", None)])
def test_an_average_to_the_cent_is_called_rounded(db: Database, told: str, cause: str | None) -> None:
    write(db, order("1", 1, avg_price=Decimal(told)), deal("11", "1", 1, "10.0125"))
    (found,) = findings(db, AVERAGE, MONDAY)
    assert (found.cause, found.severity) == (cause, Severity.WARN if cause else Severity.ERROR)


def test_an_average_of_ib_that_is_not_of_its_trades_was_changed_by_us(db: Database) -> None:
    write(db, order("1", 1, broker=IB, avg_price=Decimal("10.002")), deal("11", "1", 1, broker=IB))
    (found,) = findings(db, AVERAGE, MONDAY)
    assert (found.cause, "set_right" in found.evidence) == ("PIPELINE", False)


def test_a_price_that_is_not_as_it_was_told_was_changed_on_the_way(db: Database) -> None:
    write(db, order("1", 2), deal("11", "1", 1), deal("12", "1", 1, 20))
    raw(db, "trades", "12", {"price": 10.0, "status": 0}, order_id="1")
    (found,) = findings(db, AVERAGE, MONDAY)
    assert (found.cause, found.evidence["told_otherwise"]) == ("PIPELINE", [uid("12")])
    raw(db, "trades", "12", {"price": 20.0, "status": 2}, order_id="1")
    assert [one.cause for one in findings(db, AVERAGE, MONDAY)] == ["CORRECTION"]


def test_the_net_price_of_a_combination_is_compared_where_the_account_keeps_to_it(db: Database) -> None:
    write(db, *combination("1"), *combination("2", avg_price=Decimal(-1)), *combination("3"))
    assert (findings(db, AVERAGE, MONDAY), compared(db, AVERAGE, MONDAY)) == ([], 3), "whatever its sign"
    write(db, *combination("4", avg_price=Decimal("1.2")))
    (found,) = findings(db, AVERAGE, MONDAY)
    assert (found.subject, found.expected, found.actual) == (uid("4"), Decimal("1.2"), 1)
    set_right(db, found)
    assert findings(db, AVERAGE, MONDAY) == []
    write(db, *combination("4", avg_price=Decimal(3)), *combination("5", avg_price=Decimal(3)))
    assert (findings(db, AVERAGE, MONDAY), compared(db, AVERAGE, MONDAY)) == ([], 0), "two of five do not"


# Orders that nobody told (B03) ---------------------------------------------------------------------------------


def test_an_order_and_trades_without_one_are_no_finding(db: Database) -> None:
    write(db, order("1", 10), deal("11", "1", 10), deal("12", None, 5, kind=TradeKind.EXERCISE))
    assert (findings(db, TOLD, MONDAY), compared(db, TOLD, MONDAY)) == ([], 1)


def test_an_order_that_was_rebuilt_from_its_deals_is_a_warning(db: Database) -> None:
    write(db, order("1", 10, source="futu_deals"), deal("11", "1", 10))
    (found,) = findings(db, TOLD, MONDAY)
    assert (found.subject, found.severity, found.cause) == (ORDER, Severity.WARN, "REFERENCE_DATA")
    assert names(found) == [ORDER, uid("11")]


def test_an_order_that_only_its_trades_name_is_one_error_on_the_first_of_their_days(db: Database) -> None:
    write(db, deal("11", "1", 4, on=TUESDAY), deal("12", "1", 6, on=WEDNESDAY))
    for first, last in ((MONDAY, THURSDAY), (TUESDAY, TUESDAY)):
        (found,) = findings(db, TOLD, first, last)
        assert (found.subject, found.business_date, found.severity) == (ORDER, TUESDAY, Severity.ERROR)
        assert (found.expected, found.actual, found.cause) == (1, 0, "MISSING_A")
        assert names(found) == [uid("11"), uid("12")]
    assert findings(db, TOLD, WEDNESDAY) == []
    assert findings(db, QUANTITY, MONDAY, THURSDAY) == [], "there is no quantity to compare"


def test_the_record_of_a_lost_order_says_whose_fault_it_is(db: Database) -> None:
    write(db, deal("11", "1", 4), deal("21", "2", 4, broker=IB))
    raw(db, "orders", "1", {"orderStatus": 11})
    futu, ib = findings(db, TOLD, MONDAY)
    assert (futu.cause, names(futu)) == ("PIPELINE", [uid("11"), "orders_raw_futu/100/1"])
    assert ib.cause == "PIPELINE", "orders of IB are made of their executions"
    rows.quarantined(db, "orders", "1")
    assert findings(db, TOLD, MONDAY)[0].cause == "REFERENCE_DATA"


# Filled orders without trades (B04) ----------------------------------------------------------------------------


def test_a_filled_order_with_a_trade_and_an_unfilled_one_are_no_finding(db: Database) -> None:
    write(db, order("1", 10), deal("11", "1", 4), order("2", 0, status=OrderStatus.CANCELLED))
    assert (findings(db, TRADED, MONDAY), compared(db, TRADED, MONDAY)) == ([], 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"filled_qty": Decimal(4), "status": OrderStatus.PARTIAL_CANCELLED}, 4),
        ({"filled_qty": Decimal(0), "status": OrderStatus.FILLED}, 10),
        ({"filled_qty": None, "status": OrderStatus.FILLED}, 10),
    ],
)
def test_an_order_that_was_filled_without_a_trade_is_a_finding(
    db: Database, values: dict[str, Any], expected: int
) -> None:
    write(db, order("1", 10, **values), deal("21", "2", 10, asset_class=AssetClass.STOCK))
    (found,) = findings(db, TRADED, MONDAY)
    assert (found.subject, found.business_date, found.severity) == (ORDER, MONDAY, Severity.ERROR)
    assert (found.expected, found.actual) == (expected, 0)
    assert found.cause == ("MISSING_B" if values["filled_qty"] else None)


def test_a_trade_that_was_taken_back_is_none(db: Database) -> None:
    write(db, order("1", 10), deal("11", "1", 10, effective=False, kind=TradeKind.CANCEL))
    (found,) = findings(db, TRADED, MONDAY)
    assert (found.cause, names(found)) == ("CORRECTION", [ORDER, uid("11")])


def test_the_record_of_a_lost_deal_says_whose_fault_it_is(db: Database) -> None:
    write(db, order("1", 10, side=Side.SELL))
    raw(db, "trades", "11", {"qty": 10.0}, order_id="1")
    (found,) = findings(db, TRADED, MONDAY)
    assert (found.cause, names(found)) == ("PIPELINE", [ORDER, "trades_raw_futu/100/11"])
    rows.quarantined(db, "trades", "11", FUTU)
    assert [one.cause for one in findings(db, TRADED, MONDAY)] == ["REFERENCE_DATA"]


# What would set an order right ------------------------------------------------------------------------------------


def test_a_trade_that_tells_too_much_is_the_one_without_whose_surplus_the_average_is_right(db: Database) -> None:
    write(db, order("1", 10, avg_price=Decimal("10.5")), deal("11", "1", 5), deal("12", "1", 6, 11))
    (found,) = findings(db, QUANTITY, MONDAY)
    assert (found.expected, found.actual, found.cause) == (10, 11, "MISSING_A")
    (change,) = found.evidence["set_right"]
    assert (change["do"], change["key"]["trade_uid"], change["row"]["qty"]) == ("update", "FUTU_100_12", "5")
    set_right(db, found)
    assert findings(db, QUANTITY, MONDAY) == []


def test_a_deal_of_an_order_that_nobody_told_is_that_of_the_one_order_that_lacks_it(db: Database) -> None:
    lost, own = order("7", 5, source="futu_deals"), order("1", 10)
    write(db, own, lost, deal("11", "1", 5), deal("12", "7", 5))
    (found,) = findings(db, TOLD, MONDAY)
    set_right(db, found)
    assert query(db.url, "SELECT order_uid FROM orders_norm") == [(uid("1"),)]
    assert findings(db, TOLD, MONDAY) == findings(db, QUANTITY, MONDAY) == []
    write(db, lost, order("2", 5), deal("12", "7", 5))
    (found,) = findings(db, TOLD, MONDAY)
    assert "set_right" not in found.evidence, "two orders lack it"


# Days that are known to be incomplete (A10) --------------------------------------------------------------------------


def test_an_incomplete_day_names_the_orders_that_its_deals_contradict(db: Database) -> None:
    write(db, order("1", 10), deal("11", "1", 5), order("2", 5), deal("21", "2", 5), order("3", 5, trade_date=TUESDAY))
    query(db.url, "INSERT INTO load_gaps VALUES ('FUTU', '100', 'futu_deals', %s, now())", MONDAY)
    (found,) = findings(db, CheckName.COVERED_DAYS_HOLD_WHAT_THE_BROKER_SAYS, MONDAY, TUESDAY)
    assert (found.subject, found.evidence["order_uids"]) == ("futu_deals 100", [uid("1")])
    query(db.url, "UPDATE load_gaps SET business_date = %s", WEDNESDAY)
    (found,) = findings(db, CheckName.COVERED_DAYS_HOLD_WHAT_THE_BROKER_SAYS, MONDAY, WEDNESDAY)
    assert found.evidence["order_uids"] == [], "none of its orders says so"


# Executions that no statement confirms (B13) -------------------------------------------------------------------------


def test_an_execution_that_no_statement_confirms_is_set_right_by_taking_it_away(db: Database) -> None:
    write(db, deal("77", None, 5, source="TWS", broker=IB, account_id="U1", trade_uid="t"))
    (found,) = findings(db, CheckName.EVERY_PROVISIONAL_TRADE_IS_CONFIRMED, MONDAY)
    assert (found.subject, found.cause, found.evidence["rows"]) == ("t", "MISSING_B", ["t"])
    set_right(db, found)
    assert findings(db, CheckName.EVERY_PROVISIONAL_TRADE_IS_CONFIRMED, MONDAY) == []
    assert query(db.url, "SELECT count(*) FROM trades_norm") == [(0,)]
