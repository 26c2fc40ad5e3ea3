"""Faults of what Interactive Brokers tells of cash, and of the figures with which a statement proves itself."""

from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any
from xml.etree import ElementTree as ET

from tests.faults.seeded_fault import Expected, statements
from tests.faults.seeded_flex import Statements, amount, put, written
from tests.faults.seeded_ib_trades import an_execution, day_of, executions, of_trade
from tests.faults.seeded_year import Place


def a_booking(told: Statements, dice: Random, *kinds: str) -> ET.Element:
    """A booking beside trades, of one of these kinds."""
    return told.one(dice, "CashTransaction", lambda row: row.get("type") in kinds, levelOfDetail="DETAIL")


def of_booking(check: str, about: ET.Element, delta: Decimal | None = None, **told: Any) -> Expected:
    """A break about a booking, on its day."""
    usual: dict[str, Any] = {
        "row": about.get("transactionID"), "account": about.get("accountId"), "days": [day_of(about)],
    }  # fmt: skip
    return Expected(check, delta=delta, **(usual | told))


def of_statement(
    check: str, told: Statements, about: ET.Element, delta: Decimal | None = None, **more: Any
) -> Expected:
    """A break about the figures of a statement, on its last day."""
    usual: dict[str, Any] = {"account": about.get("accountId"), "days": [told.day_of(about)]}
    return Expected(check, delta=delta, **(usual | more))


DIVIDENDS, TAX = "Dividends", "Withholding Tax"
INTEREST = ("Broker Interest Received", "Broker Interest Paid")


@statements("dividend missing")
def _dividend(told: Statements, dice: Random, place: Place) -> Expected:
    row = a_booking(told, dice, DIVIDENDS)
    told.remove(row)
    return of_booking("D06", row, -amount(row, "amount"))


@statements("tax on a dividend missing")
def _tax(told: Statements, dice: Random, place: Place) -> Expected:
    row = a_booking(told, dice, TAX)
    told.remove(row)
    return of_booking("D06", row, -amount(row, "amount"))


@statements("interest missing")
def _interest(told: Statements, dice: Random, place: Place) -> Expected:
    row = a_booking(told, dice, *INTEREST)
    told.remove(row)
    return of_booking("D06", row, -amount(row, "amount"))


@statements("fee of the account missing")
def _other_fee(told: Statements, dice: Random, place: Place) -> Expected:
    row = a_booking(told, dice, "Other Fees")
    told.remove(row)
    return of_booking("D06", row, -amount(row, "amount"))


@statements("sign of a dividend flipped")
def _dividend_sign(told: Statements, dice: Random, place: Place) -> Expected:
    row = a_booking(told, dice, DIVIDENDS, TAX)
    put(row, amount=-amount(row, "amount"))
    return of_booking("D13 D06", row)


@statements("amount of a booking off")
def _booking_off(told: Statements, dice: Random, place: Place) -> Expected:
    row = a_booking(told, dice, DIVIDENDS, TAX, *INTEREST)
    put(row, amount=amount(row, "amount") + Decimal("3.21"))
    return of_booking("D13 D06", row, Decimal("3.21"))  # of a reversal its original tells


@statements("booking on another day")
def _booking_day(told: Statements, dice: Random, place: Place) -> Expected:
    """The funds tell the right one."""
    row = a_booking(told, dice, DIVIDENDS, TAX, *INTEREST)
    before = day_of(row)
    put(row, reportDate=written(before + timedelta(days=1)))
    return of_booking("D06", row, days=[before, before + timedelta(days=1)])


@statements("booking told twice under two ids")
def _booking_twice(told: Statements, dice: Random, place: Place) -> Expected:
    row = a_booking(told, dice, DIVIDENDS, TAX, *INTEREST)
    twin = told.twin(row, transactionID=str(int(row.get("transactionID", "0")) + 800_001))
    return of_booking("D06", twin, amount(row, "amount"))


@statements("currency of a booking mislabelled")
def _booking_currency(told: Statements, dice: Random, place: Place) -> Expected:
    row = a_booking(told, dice, *INTEREST, "Other Fees")
    put(row, currency={"USD": "HKD", "HKD": "USD"}[row.get("currency", "")])
    return of_booking("D06", row)


@statements("reversal of a dividend that nobody paid")
def _reversal(told: Statements, dice: Random, place: Place) -> Expected:
    """It stands in the cash transactions only."""
    row = a_booking(told, dice, DIVIDENDS)
    twin = told.twin(
        row, transactionID=str(int(row.get("transactionID", "0")) + 900_001), amount=f"{-amount(row, 'amount') - 5:f}",
        description=f"{row.get('description')} - REVERSAL", actionID="199000777",
    )  # fmt: skip
    return of_booking("D13", twin)


@statements("leg of a conversion missing")
def _conversion_leg(told: Statements, dice: Random, place: Place) -> Expected:
    """The statement of funds tells one currency only, and its balances with it."""
    trade = told.one(dice, "Trade", assetCategory="CASH")
    line = told.one(
        dice,
        "StatementOfFundsLine",
        transactionID=trade.get("transactionID", ""),
        levelOfDetail="Currency",
        currency="HKD",
    )
    told.remove(line)
    return of_booking("D06", line, row="")


@statements("conversion missing")
def _conversion(told: Statements, dice: Random, place: Place) -> Expected:
    """Its order is not told either."""
    trade = told.one(dice, "Trade", assetCategory="CASH")
    told.remove(trade, *told.rows("Order", ibOrderID=trade.get("ibOrderID", "")))
    return of_trade("D06 D05", trade, row="", several=True)


@statements("price of a conversion off")
def _conversion_rate(told: Statements, dice: Random, place: Place) -> Expected:
    trade = told.one(dice, "Trade", assetCategory="CASH")
    put(trade, tradePrice=amount(trade, "tradePrice") * Decimal("1.01"))
    return of_trade("B10 D06", trade)


@statements("line of the statement of funds missing")
def _line_missing(told: Statements, dice: Random, place: Place) -> Expected:
    trade = an_execution(told, dice)
    same = {"transactionID": trade.get("transactionID", ""), "levelOfDetail": "Currency"}
    line = told.one(dice, "StatementOfFundsLine", **same)
    told.remove(line)
    return of_trade("D06", trade)


@statements("balance of the statement of funds off")
def _balance_off(told: Statements, dice: Random, place: Place) -> Expected:
    lines = told.rows("StatementOfFundsLine", levelOfDetail="Currency", activityDescription="Ending Balance")
    line = dice.choice(lines)
    put(line, balance=amount(line, "balance") + 100)
    return of_statement("D06", told, line)


@statements("amount of a line of funds off")
def _line_off(told: Statements, dice: Random, place: Place) -> Expected:
    trade = dice.choice(executions(told))
    same = {"transactionID": trade.get("transactionID", ""), "levelOfDetail": "Currency"}
    line = told.one(dice, "StatementOfFundsLine", **same)
    side = "credit" if line.get("credit") else "debit"
    put(line, **dict.fromkeys(("amount", side), amount(line, "amount") + 9))
    return of_trade("D06", trade)


def _report(told: Statements, dice: Random, **more: str) -> ET.Element:
    return told.one(
        dice, "CashReportCurrency", lambda row: bool(amount(row, "endingCash")), levelOfDetail="Currency", **more
    )


@statements("ending cash off")
def _ending_cash(told: Statements, dice: Random, place: Place) -> Expected:
    row = _report(told, dice)
    put(row, endingCash=amount(row, "endingCash") + 25)
    return of_statement("D05", told, row)


@statements("settled cash off")
def _settled_cash(told: Statements, dice: Random, place: Place) -> Expected:
    row = _report(told, dice)
    put(row, endingSettledCash=amount(row, "endingSettledCash") - 40)
    return of_statement("D11", told, row, Decimal(40))


@statements("part of the cash report off")
def _cash_part(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "CashReportCurrency", lambda one: bool(amount(one, "commissions")), levelOfDetail="Currency")
    put(row, commissions=amount(row, "commissions") - 6)
    return of_statement("D05", told, row)


@statements("sum of the cash in the base currency off")
def _cash_sum(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "CashReportCurrency", currency="BASE_SUMMARY")
    put(row, endingCash=amount(row, "endingCash") + 25)
    return of_statement("D05", told, row, Decimal(-25))


@statements("currency of an equity mislabelled")
def _equity_currency(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "EquitySummaryByReportDateInBase", currency="USD")
    put(row, currency="HKD")
    return of_statement("D09", told, row, causes=("REFERENCE_DATA",), row="HKD")


@statements("currency of a change in value mislabelled")
def _nav_currency(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "ChangeInNAV", currency="USD")
    put(row, currency="HKD")
    return of_statement("D09", told, row, causes=("REFERENCE_DATA",), row="HKD")


@statements("part of the change in value off")
def _nav_part(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "ChangeInNAV", lambda one: bool(amount(one, "mtm")))
    put(row, mtm=amount(row, "mtm") + 123)
    return of_statement("D08", told, row, Decimal(123))


@statements("ending value off")
def _nav_ending(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "ChangeInNAV")
    put(row, endingValue=amount(row, "endingValue") + 1000)
    return of_statement("D08", told, row)


@statements("time-weighted return off")
def _twr(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "ChangeInNAV")
    put(row, twr=amount(row, "twr") + 1)
    return of_statement("D14", told, row)


@statements("total of the equity off")
def _equity_total(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "EquitySummaryByReportDateInBase")
    put(row, total=amount(row, "total") + 50)
    return of_statement("D09", told, row)


@statements("part of the equity off")
def _equity_part(told: Statements, dice: Random, place: Place) -> Expected:
    """Part and total agree with each other, but not with what is held."""
    row = told.one(dice, "EquitySummaryByReportDateInBase", lambda one: bool(amount(one, "stock")))
    put(row, stock=amount(row, "stock") + 500, total=amount(row, "total") + 500)
    return of_statement("D09", told, row)


@statements("gain by contract off")
def _gains(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(
        dice,
        "FIFOPerformanceSummaryUnderlying",
        lambda one: bool(one.get("conid")) and bool(amount(one, "totalRealizedPnl")),
    )
    put(row, totalRealizedPnl=amount(row, "totalRealizedPnl") + 15)
    return of_statement("D01", told, row)


@statements("rate of a day off")
def _rate(told: Statements, dice: Random, place: Place) -> Expected:
    trade = told.one(dice, "Trade", currency="HKD")
    [row] = [
        one for one in told.statement_of(trade).iter("ConversionRate")
        if one.get("fromCurrency") == "HKD" and one.get("reportDate") == trade.get("reportDate")
    ]  # fmt: skip
    put(row, rate=amount(row, "rate") * Decimal("1.03"))
    return of_statement("D12", told, trade)
