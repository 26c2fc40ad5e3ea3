"""The checks of fees: each notices what it is for, and is silent where what was charged is what was told."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.domain.models import AssetClass, Fee, FeeType, Trade, TradeKind
from apex_pipeline.store.db import Database
from tests.store import order_rows as rows
from tests.store.check_rows import compared, differences, findings
from tests.store.order_rows import (
    CALL,
    IB,
    MONDAY,
    SPREAD,
    THURSDAY,
    TUESDAY,
    deal,
    fee,
    names,
    order,
    raw,
    set_right,
    share,
    told_fee,
    uid,
    write,
)
from tests.store.rows import query, value

CHARGED = CheckName.EVERY_FILLED_ORDER_HAS_ITS_FEES
TOTAL = CheckName.FEES_OF_AN_ORDER_SUM_TO_ITS_TOTAL
SHARED = CheckName.FEES_OF_ORDERS_ARE_ALLOCATED_TO_THEIR_TRADES
BAND = CheckName.FEES_ARE_WITHIN_THEIR_BAND
ORDER = uid("1")
REST: dict[str, Any] = {"fee_uid": f"{ORDER}_1_unallocated", "fee_type": FeeType.UNALLOCATED}


def today(db: Database) -> date:
    """The day that the server takes for today."""
    return value(db.url, "SELECT current_date")


def market_days(db: Database, sessions: list[date], others: list[date]) -> None:
    """The calendar of New York, as far as it is known."""
    for days, is_session in ((sessions, True), (others, False)):
        for day in days:
            query(db.url, "INSERT INTO market_days VALUES ('XNYS', %s, %s, %s)", day, is_session, is_session)


# Fees that are there (B05) -------------------------------------------------------------------------------------


def test_a_fee_of_zero_is_one_and_an_unfilled_order_needs_none(db: Database) -> None:
    write(db, order("1", 10), fee("commission", "1", 0), order("2", 0), order("3", None))
    write(db, order("1", 10, broker=IB), deal("11", "1", 10, broker=IB))
    write(db, fee("COMMISSION", "1", 0, broker=IB, trade="11"))
    assert (findings(db, CHARGED, MONDAY), compared(db, CHARGED, MONDAY)) == ([], 2)


def test_a_filled_order_without_a_fee_is_an_error(db: Database) -> None:
    write(db, order("1", 10), deal("11", "1", 10, on=TUESDAY))
    (found,) = findings(db, CHARGED, MONDAY)
    assert (found.subject, found.business_date, found.severity) == (ORDER, MONDAY, Severity.ERROR)
    assert (found.expected, found.actual, found.cause) == (1, 0, "MISSING_B")
    assert found.evidence["filled_on"] == str(TUESDAY)
    told_fee(db, "1", None)
    (pending,) = findings(db, CHARGED, MONDAY)
    assert (pending.cause, names(pending)) == ("FEE_PENDING", [ORDER, "fees_raw_futu/100/1"])
    told_fee(db, "1", "1.5")
    assert [one.cause for one in findings(db, CHARGED, MONDAY)] == ["PIPELINE"]
    rows.quarantined(db, "fees", "1")
    assert [one.cause for one in findings(db, CHARGED, MONDAY)] == ["REFERENCE_DATA"]


def test_a_fee_has_two_business_days_after_the_last_fill(db: Database) -> None:
    """Of the market's calendar where it is known, of weekdays otherwise."""
    now = today(db)
    week = [now - timedelta(days=back) for back in range(7)]
    write(db, order("1", 10, now - timedelta(days=30)), deal("11", "1", 10, on=now - timedelta(days=3)))
    since = [day for day in week[:3] if day.isoweekday() < 6]
    pending = ("FEE_PENDING", Severity.WARN)
    late = ("MISSING_B", Severity.ERROR)
    told = [(one.cause, one.severity) for one in findings(db, CHARGED, now - timedelta(days=30))]
    assert told == [pending if len(since) < 2 else late]
    market_days(db, week[1:2] + week[3:], [week[0], week[2]])
    told = [(one.cause, one.severity) for one in findings(db, CHARGED, now - timedelta(days=30))]
    assert told == [pending], "one session since"
    query(db.url, "UPDATE market_days SET is_session = true WHERE on_date = current_date")
    told = [(one.cause, one.severity) for one in findings(db, CHARGED, now - timedelta(days=30))]
    assert told == [late], "two sessions since"


def test_an_execution_of_ib_without_a_commission_is_a_finding_of_its_order(db: Database) -> None:
    write(db, order("1", 10, broker=IB), deal("11", "1", 4, broker=IB), deal("12", "1", 6, broker=IB))
    write(db, fee("COMMISSION", "1", 1, broker=IB, trade="11"))
    write(db, fee("TAX", "1", 1, broker=IB))
    (found,) = findings(db, CHARGED, MONDAY)
    assert (found.subject, found.expected, found.actual, found.cause) == (uid("1", IB), 2, 1, "MISSING_B")
    assert names(found) == [uid("1", IB), uid("12", IB)]
    raw(db, "fees", "12", {"ibCommission": "-1.5"}, broker=IB)
    (found,) = findings(db, CHARGED, MONDAY)
    assert (found.cause, found.evidence["told"]) == ("PIPELINE", "-1.5")


def test_executions_of_ib_that_are_charged_nothing_need_no_commission(db: Database) -> None:
    booked = deal("11", None, 1, broker=IB, kind=TradeKind.ASSIGNMENT)
    busted = deal("12", "1", 1, broker=IB, effective=False)
    cancel = deal("13", "1", -1, broker=IB, effective=False, kind=TradeKind.CANCEL)
    live = deal("14", "1", 1, broker=IB, source="TWS")
    write(db, booked, busted, cancel, live)
    assert (findings(db, CHARGED, MONDAY), compared(db, CHARGED, MONDAY)) == ([], 0)
    write(db, deal("15", None, 1, broker=IB))
    assert differences(findings(db, CHARGED, MONDAY)) == [(uid("15", IB), 1, 0, "MISSING_B")]
    gap = "INSERT INTO query_gaps VALUES ('g', 'IB', 'U1', %s, 'q', 'Trades', 'ibCommission', 'what it cost')"
    query(db.url, gap, MONDAY)
    assert (findings(db, CHARGED, MONDAY), compared(db, CHARGED, MONDAY)) == ([], 0), "the query does not tell it"


def test_orders_of_which_futu_tells_no_fees_are_not_compared(db: Database) -> None:
    old = date(2017, 12, 29)
    write(db, order("1", 10), order("2", 10, old), order("3", 10, broker_status="FILL_CANCELLED"))
    assert [one.subject for one in findings(db, CHARGED, old, MONDAY)] == [ORDER]
    rows.load(db, "futu_orders", MONDAY, MONDAY)
    assert (findings(db, CHARGED, MONDAY), compared(db, CHARGED, MONDAY)) == ([], 0), "a paper account"
    rows.load(db, "futu_deals", MONDAY, MONDAY)
    assert (len(findings(db, CHARGED, MONDAY)), compared(db, CHARGED, MONDAY)) == (1, 1)
    note = "futu_fees of 100 is not offered by Moomoo Canada: refused"
    rows.load(db, "futu_fees", MONDAY, MONDAY, covered=False, note=note)
    assert (findings(db, CHARGED, MONDAY), compared(db, CHARGED, MONDAY)) == ([], 0)


# Parts and total (B06) -----------------------------------------------------------------------------------------


def test_parts_that_sum_to_the_total_but_for_rounding_are_no_finding(db: Database) -> None:
    told_fee(db, "1", "2.99", [("Commission", "1.99"), ("Platform Fee", "1.01")])
    write(db, fee("Commission", "1", "1.99"), fee("Platform Fee", "1", "1.01"), fee("r", "1", "-0.01", **REST))
    told_fee(db, "2", "1.5")
    write(db, fee("r", "2", "1.5", fee_type=FeeType.UNALLOCATED))
    told_fee(db, "3", None)
    told_fee(db, "4", "1.5", [("Commission", "9")])
    assert findings(db, TOTAL, MONDAY) == []
    assert compared(db, TOTAL, MONDAY) == 2, "neither what is pending nor what has no row"


def test_a_total_that_its_parts_miss_is_a_finding_although_the_rest_is_booked(db: Database) -> None:
    told_fee(db, "1", "3.02", [("Commission", "1.99"), ("Platform Fee", "1.01")])
    rest = fee("r", "1", "0.02", **REST)
    write(db, fee("Commission", "1", "1.99"), fee("Platform Fee", "1", "1.01"), rest, share(rest, "11", "0.02"))
    (found,) = findings(db, TOTAL, MONDAY, TUESDAY)
    assert (found.subject, found.business_date, found.severity) == (ORDER, MONDAY, Severity.ERROR)
    assert (found.expected, found.actual, found.cause) == (Decimal("3.02"), Decimal("3.00"), None)
    assert (found.currency, found.evidence["tolerance"]) == ("USD", "0.010")
    assert names(found)[:2] == [ORDER, "fees_raw_futu/100/1"]
    set_right(db, found)
    assert findings(db, TOTAL, MONDAY) == []
    assert value(db.url, "SELECT sum(amount) FROM fees_norm") == 3
    assert value(db.url, "SELECT count(*) FROM fee_allocations") == 0


def test_parts_that_were_told_twice_beside_one_total_are_a_double(db: Database) -> None:
    told_fee(db, "1", "3", [("Commission", "2"), ("ORF", "1")] * 2)
    parts = [fee("Commission", "1", 2), fee("ORF", "1", 1)]
    write(db, *parts, *map(again, parts), fee("r", "1", -3, **REST))
    (found,) = findings(db, TOTAL, MONDAY)
    assert (found.expected, found.actual, found.cause) == (3, 6, "DUPLICATE")
    assert "set_right" not in found.evidence, "the total is the one word that is told once"


def test_a_row_of_ours_that_was_not_told_is_a_finding(db: Database) -> None:
    told_fee(db, "1", "3", [("Commission", "2"), ("ORF", "1")])
    write(db, fee("Commission", "1", 2), fee("ORF", "1", 5))
    (found,) = findings(db, TOTAL, MONDAY)
    assert (found.expected, found.actual, found.cause) == (3, 7, "PIPELINE")
    set_right(db, found)
    assert findings(db, TOTAL, MONDAY) == []
    write(db, fee("Bonus", "1", 4))
    (found,) = findings(db, TOTAL, MONDAY)
    set_right(db, found)
    assert findings(db, TOTAL, MONDAY) == []
    query(db.url, "DELETE FROM fees_norm WHERE broker_fee_name = 'ORF'")
    assert differences(findings(db, TOTAL, MONDAY)) == [(ORDER, 3, 2, "PIPELINE")]


# What trades bear, and once (B07) ------------------------------------------------------------------------------


def charged(name: str = "1", **values: Any) -> list[Any]:
    """An order of two trades with a fee of 3 in two parts, told and borne as it should be."""
    commission, orf = fee("Commission", name, 2), fee("ORF", name, 1)
    first, second = deal(f"{name}1", name, 4), deal(f"{name}2", name, 6)
    borne = [share(commission, f"{name}1", "0.8"), share(commission, f"{name}2", "1.2"), share(orf, f"{name}2", 1)]
    return [order(name, 10, **values), first, second, commission, orf, *borne]


def again(of: Fee) -> Fee:
    """The same fee once more."""
    return replace(of, fee_uid=f"{of.order_uid}_2_{of.broker_fee_name}")


def test_a_fee_that_its_trades_bear_whole_is_no_finding(db: Database) -> None:
    write(db, *charged())
    told_fee(db, "1", "3", [("Commission", "2"), ("ORF", "1")])
    write(db, fee("Commission", "2", 5), order("2", 0))
    tax = fee("TAX", "1", 9, broker=IB, fee_uid="IB_U1_11_TAX")
    write(db, order("1", 1, broker=IB), deal("11", "1", 1, broker=IB), tax, share(tax, "11", 9))
    lost = fee("TAX", "1", 9, broker=IB, fee_uid="IB_U1_77_TAX")
    write(db, lost)
    assert findings(db, SHARED, MONDAY) == [], "nor one without trades, nor one whose trade could not be read"
    assert compared(db, SHARED, MONDAY) == 3


def test_a_fee_of_which_a_rest_is_borne_by_nobody_is_a_finding(db: Database) -> None:
    write(db, *charged())
    query(db.url, "UPDATE fee_allocations SET amount = 0.7 WHERE amount = 0.8")
    (found,) = findings(db, SHARED, MONDAY, TUESDAY)
    assert (found.subject, found.business_date, found.severity) == (ORDER, MONDAY, Severity.ERROR)
    assert (found.expected, found.actual, found.cause, found.currency) == (2, Decimal("1.9"), "PIPELINE", "USD")
    assert names(found) == [f"{ORDER}_1_Commission", uid("11"), uid("12")]
    assert "set_right" not in found.evidence, "which of two parts is wrong is not known"
    query(db.url, "DELETE FROM fee_allocations")
    assert differences(findings(db, SHARED, MONDAY)) == [(ORDER, 3, 0, "PIPELINE")]


def test_what_a_trade_of_another_order_bears_is_not_borne(db: Database) -> None:
    write(db, *charged("1"), *charged("2"))
    query(db.url, "UPDATE fee_allocations SET trade_uid = %s WHERE trade_uid = %s", uid("21"), uid("11"))
    assert differences(findings(db, SHARED, MONDAY)) == [(ORDER, 2, Decimal("1.2"), "PIPELINE")]


def test_a_trade_that_is_gone_is_not_the_matter_of_its_fees(db: Database) -> None:
    write(db, *charged())
    query(db.url, "DELETE FROM trades_norm WHERE trade_uid = %s", uid("11"))
    assert findings(db, SHARED, MONDAY) == []


def test_a_tax_of_ib_that_its_trade_does_not_bear_is_a_finding(db: Database) -> None:
    tax = fee("TAX", "1", 9, broker=IB, fee_uid="IB_U1_11_TAX")
    write(db, order("1", 1, broker=IB), deal("11", "1", 1, broker=IB), tax)
    assert differences(findings(db, SHARED, MONDAY)) == [(uid("1", IB), 9, 0, "PIPELINE")]
    set_right(db, findings(db, SHARED, MONDAY)[0])
    assert findings(db, SHARED, MONDAY) == []
    write(db, share(tax, "11", 8))
    assert differences(findings(db, SHARED, MONDAY)) == [(uid("1", IB), 9, 8, "PIPELINE")]
    set_right(db, findings(db, SHARED, MONDAY)[0])
    assert findings(db, SHARED, MONDAY) == []


@pytest.mark.parametrize("borne", [True, False])
def test_fees_beyond_those_that_were_told_are_a_double(db: Database, *, borne: bool) -> None:
    whole = charged()
    told_fee(db, "1", "3", [("Commission", "2"), ("ORF", "1")])
    doubles = [again(row) for row in whole if isinstance(row, Fee)]
    write(db, *whole, *doubles, *([share(row, "12", str(row.amount)) for row in doubles] if borne else []))
    (found,) = findings(db, SHARED, MONDAY)
    assert (found.subject, found.expected, found.actual, found.cause) == (ORDER, 3, 6, "DUPLICATE")
    assert names(found) == [*(row.fee_uid for row in doubles), uid("11"), uid("12")]
    assert findings(db, TOTAL, MONDAY) == [], "one finding for one fault"
    set_right(db, found)
    assert findings(db, SHARED, MONDAY) == []
    assert value(db.url, "SELECT sum(amount) FROM fees_norm") == 3


def test_equal_parts_that_were_told_are_no_double(db: Database) -> None:
    parts = [("Commission", "2"), ("Commission", "2"), ("ORF", "1")]
    told_fee(db, "1", "5", parts)
    whole = charged()
    second = again(whole[3])
    write(db, *whole, second, share(second, "11", 2))
    assert findings(db, SHARED, MONDAY) == []


def test_a_record_that_tells_each_part_twice_is_a_double_where_others_tell_them_once(db: Database) -> None:
    """As if for each leg; an account that tells all its orders so has its own convention."""
    whole = charged(legs=SPREAD, asset_class=AssetClass.COMBO)
    doubles = [again(row) for row in whole if isinstance(row, Fee)]
    told_fee(db, "1", "6", [("Commission", "2"), ("ORF", "1")] * 2)
    write(db, *whole, *doubles, *(share(row, "12", str(row.amount)) for row in doubles))
    assert findings(db, SHARED, MONDAY) == [], "all of the account's orders of several trades"
    write(db, *charged("2"), *charged("3"))
    assert findings(db, SHARED, MONDAY) == [], "one of three"
    write(db, *charged("4"))
    assert differences(findings(db, SHARED, MONDAY)) == [(ORDER, 3, 6, "DUPLICATE")]
    query(db.url, "UPDATE trades_norm SET trade_date = %s WHERE trade_uid = %s", TUESDAY, uid("12"))
    assert findings(db, SHARED, MONDAY) == [], "each day of an order is charged"


def test_a_charge_of_ib_that_is_there_twice_is_a_double(db: Database) -> None:
    commission = fee("COMMISSION", "1", 1, broker=IB, trade="11", fee_uid="IB_U1_11_COMMISSION")
    tax = fee("TAX", "1", 9, broker=IB, fee_uid="IB_U1_11_TAX")
    write(db, order("1", 1, broker=IB), deal("11", "1", 1, broker=IB), commission, tax, share(tax, "11", 9))
    raw(db, "fees", "11", {"taxes": "-9", "ibCommission": "-1"}, broker=IB)
    assert findings(db, SHARED, MONDAY) == []
    write(db, replace(commission, fee_uid="IB_U1_11_COMMISSION_B"))
    (found,) = findings(db, SHARED, MONDAY)
    assert (found.subject, found.expected, found.actual, found.cause) == (uid("1", IB), 10, 11, "DUPLICATE")
    set_right(db, found)
    write(db, replace(tax, fee_uid="IB_U1_11_TAX_B"))
    (found,) = findings(db, SHARED, MONDAY)
    assert (found.expected, found.actual, found.cause) == (10, 19, "DUPLICATE")
    set_right(db, found)
    assert findings(db, SHARED, MONDAY) == []


def test_equal_taxes_of_two_executions_and_of_one_that_tells_both_are_no_double(db: Database) -> None:
    write(db, order("1", 2, broker=IB), deal("11", "1", 1, broker=IB), deal("12", "1", 1, broker=IB))
    for key, trade in (("11_TAX", "11"), ("12_TAX", "12"), ("12_TAX_2", "12")):
        tax = fee("TAX", "1", 9, broker=IB, fee_uid=f"IB_U1_{key}")
        write(db, tax, share(tax, trade, 9))
    raw(db, "fees", "11", {"taxes": "-9"}, broker=IB)
    raw(db, "fees", "12", {"taxes": "-18"}, broker=IB)
    assert findings(db, SHARED, MONDAY) == []


# Bands (B09) ---------------------------------------------------------------------------------------------------


def cost(amount: str, dealt: Trade, **values: Any) -> list[Any]:
    """An order of one trade and what it cost."""
    charge = fee("commission", "1", amount, broker=dealt.broker, **values)
    return [order("1", str(dealt.qty), broker=dealt.broker), dealt, charge]


@pytest.mark.parametrize(
    ("amount", "qty", "price", "values"),
    [
        ("0", 100, "150", {}),
        ("3.6", 100, "150", {}),
        ("129", 10_000, "0.05", {}),
        ("2.54", 1, "0.01", {"symbol": CALL}),
        ("200", 100, "3", {"symbol": CALL}),
        ("118", 500, "100", {"market": "HK", "currency": "HKD"}),
        ("999", 10, "20000", {"asset_class": AssetClass.BOND}),
        ("999", 10, "20", {"market": "SG", "currency": "USD"}),
    ],
)
def test_a_fee_within_its_band_is_no_finding(
    db: Database, amount: str, qty: int, price: str, values: dict[str, Any]
) -> None:
    trade = deal("11", "1", qty, price, **values)
    write(db, *cost(amount, trade, currency=trade.currency))
    assert findings(db, BAND, MONDAY) == []
    known = trade.asset_class is not AssetClass.BOND and trade.market != "SG"
    assert compared(db, BAND, MONDAY) == known


def test_an_absurd_fee_is_a_warning(db: Database) -> None:
    write(db, *cost("360", deal("11", "1", 100, 150)))
    (found,) = findings(db, BAND, MONDAY, THURSDAY)
    assert (found.subject, found.business_date, found.severity) == (ORDER, MONDAY, Severity.WARN)
    assert (found.expected, found.actual, found.currency, found.cause) == (173, 360, "USD", None)
    assert [found.evidence[name] for name in ("traded_money", "at_most", "at_least")] == ["15000", "173", "0"]
    assert names(found) == [ORDER, f"{ORDER}_1_commission", uid("11")]


def test_only_ib_gives_rebates_and_not_any(db: Database) -> None:
    write(db, *cost("-0.01", deal("11", "1", 100, 150)))
    assert differences(findings(db, BAND, MONDAY)) == [(ORDER, 0, Decimal("-0.01"), None)]
    write(db, *cost("-1.5", deal("11", "1", 100, 150, broker=IB), trade="11"))
    assert len(findings(db, BAND, MONDAY)) == 1
    write(db, *cost("-1.51", deal("11", "1", 100, 150, broker=IB), trade="11"))
    assert differences(findings(db, BAND, MONDAY))[1:] == [(uid("1", IB), Decimal("-1.5"), Decimal("-1.51"), None)]


def test_a_fee_in_another_currency_or_of_unknown_money_is_not_compared(db: Database) -> None:
    write(db, *cost("999", deal("11", "1", 1), currency="HKD"))
    assert (findings(db, BAND, MONDAY), compared(db, BAND, MONDAY)) == ([], 0)
    write(db, *cost("999", deal("11", "1", 1)))
    assert (len(findings(db, BAND, MONDAY)), compared(db, BAND, MONDAY)) == (1, 1)
    query(db.url, "UPDATE trades_norm SET amount = NULL")
    assert (findings(db, BAND, MONDAY), compared(db, BAND, MONDAY)) == ([], 0)


def test_the_legs_of_a_combination_count_each_for_what_it_is(db: Database) -> None:
    write(db, order("1", 1, legs=SPREAD), deal("11", "1", 100, 150), deal("12", "1", -1, 2, symbol=CALL))
    write(db, fee("commission", "1", "178.9"))
    assert (findings(db, BAND, MONDAY), compared(db, BAND, MONDAY)) == ([], 1)
    write(db, fee("commission", "1", "179.1"))
    assert differences(findings(db, BAND, MONDAY)) == [(ORDER, 179, Decimal("179.1"), None)]
