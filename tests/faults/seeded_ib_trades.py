"""Faults of what Interactive Brokers tells of single trades."""

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from xml.etree import ElementTree as ET

from tests.faults.seeded_fault import Expected, statements
from tests.faults.seeded_flex import NoPlaceError, Statements, amount, any_of, day, later, put, written
from tests.faults.seeded_year import Place

CENT = Decimal("0.01")


def executions(told: Statements, **values: str) -> list[ET.Element]:
    """Executions on an exchange, conversions left out, of orders of which nothing was taken back."""
    taken_back = {row.get("origOrderID") for row in told.rows("Trade", transactionType="TradeCancel")}
    return told.rows(
        "Trade",
        lambda row: row.get("assetCategory") != "CASH" and row.get("ibOrderID") not in taken_back,
        transactionType="ExchTrade", **values,
    )  # fmt: skip


def an_execution(told: Statements, dice: Random, **values: str) -> ET.Element:
    """Any of them."""
    return any_of(dice, executions(told, **values))


def uid(row: ET.Element) -> str:
    """The name of a trade in our tables."""
    return f"IB_{row.get('accountId')}_{row.get('ibExecID') or 'T' + (row.get('transactionID') or '')}"


def day_of(row: ET.Element) -> date:
    """The day that a row was reported on."""
    return day(row.get("reportDate", ""))


def of_trade(check: str, about: ET.Element, delta: Decimal | None = None, **told: Any) -> Expected:
    """A break about a trade, on its day."""
    usual: dict[str, Any] = {"row": uid(about), "account": about.get("accountId"), "days": [day_of(about)]}
    return Expected(check, delta=delta, **(usual | told))


def of_symbol(check: str, about: ET.Element, delta: Decimal | None = None, **told: Any) -> Expected:
    """A break about the contract of a row, on the day of the row."""
    usual: dict[str, Any] = {"row": about.get("conid"), "account": about.get("accountId"), "days": [day_of(about)]}
    return Expected(check, delta=delta, **(usual | told))


def renumbered(row: ET.Element, *, step: int = 700_001) -> dict[str, str]:
    """Ids that no other execution has."""
    number = int(row.get("transactionID") or 0) + step
    root = (row.get("ibExecID") or "").split(".")
    exec_id = ".".join((root[0], f"{int(root[1], 16) + step:08x}", *root[2:])) if len(root) == 4 else ""
    return {"transactionID": str(number), "tradeID": str(number // 3), "ibExecID": exec_id}


@statements("missing fill")
def _missing_fill(told: Statements, dice: Random, place: Place) -> Expected:
    """One of several of its day: a statement without any would not count as one about trades."""
    row = any_of(dice, [one for one in executions(told) if len(list(told.statement_of(one).iter("Trade"))) > 1])
    told.remove(*told.lots_of(row), row)
    return of_symbol("B01 D06 C02", row, row="")


@statements("extra fill")
def _extra_fill(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice)
    twin = told.twin(row, **renumbered(row))
    twin.set("dateTime", later(row.get("dateTime", ""), minutes=3))
    return of_trade("B01 D06 C02", twin)


@statements("fill told twice under two ids")
def _twin_fill(told: Statements, dice: Random, place: Place) -> Expected:
    """The same execution, booked under another transaction."""
    row = an_execution(told, dice)
    twin = told.twin(row, transactionID=renumbered(row)["transactionID"])
    return of_trade("B11 D06", twin, row=str(twin.get("transactionID")))


@statements("fill of another account")
def _other_account(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice, openCloseIndicator="O")
    here = row.get("accountId", "")
    there = next(
        one for one in told.all() if one.get("accountId") != here and one.get("toDate") == row.get("reportDate")
    )
    told.remove(row)
    section = there.find("Trades")
    assert section is not None
    section.append(row)
    row.set("accountId", there.get("accountId", ""))
    return of_trade("B11 D06", row, account=None)


@statements("price of a fill off")
def _price_off(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice)
    put(row, tradePrice=amount(row, "tradePrice") + 1)
    return of_trade("B10", row)


@statements("price and money of a fill off")
def _price_and_money_off(told: Statements, dice: Random, place: Place) -> Expected:
    """All figures of the trade agree with each other, but with nothing else."""
    row = an_execution(told, dice)
    off = -amount(row, "quantity") * amount(row, "multiplier") * Decimal("0.5")
    put(
        row, tradePrice=amount(row, "tradePrice") + Decimal("0.5"), proceeds=amount(row, "proceeds") + off,
        tradeMoney=amount(row, "tradeMoney") - off, netCash=amount(row, "netCash") + off,
    )  # fmt: skip
    return of_trade("B02 D06", row)


@statements("rounding of an amount")
def _rounded(told: Statements, dice: Random, place: Place) -> Expected:
    """The money of a trade is told in the digits of a float of four bytes."""
    row = any_of(dice, [one for one in executions(told) if abs(amount(one, "proceeds")) > 1000])
    wrong = amount(row, "proceeds") + Decimal("0.0009765625")
    put(row, proceeds=wrong)
    return of_trade("B10", row)


@statements("quantity of a fill off by one")
def _qty_off(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice)
    put(row, quantity=amount(row, "quantity") + (1 if row.get("buySell") == "BUY" else -1))
    return of_trade("B01 B10", row)


@statements("sign of a quantity flipped")
def _sign_flipped(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice)
    put(row, quantity=-amount(row, "quantity"))
    return of_trade("B10", row)


@statements("side of a fill flipped")
def _side_flipped(told: Statements, dice: Random, place: Place) -> Expected:
    """Side and quantity agree, the money has the sign of the other side."""
    row = an_execution(told, dice)
    put(row, quantity=-amount(row, "quantity"), buySell="SELL" if row.get("buySell") == "BUY" else "BUY")
    return of_trade("B10", row)


@statements("wrong multiplier")
def _multiplier(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice, assetCategory="OPT")
    put(row, multiplier=amount(row, "multiplier") * 10)
    return of_trade("B10", row, causes=("REFERENCE_DATA", None))


@statements("fill of another contract")
def _other_contract(told: Statements, dice: Random, place: Place) -> Expected:
    """The strike of an option is wrong, and with it its conid: the order speaks of the other contract."""
    row = an_execution(told, dice, assetCategory="OPT", openCloseIndicator="O")
    strike = amount(row, "strike") + 5
    symbol = f"{row.get('symbol', '')[:13]}{int(strike * 1000):08d}"
    put(row, strike=strike, symbol=symbol, conid=int(row.get("conid", "0")) + 999_000_000, description=symbol)
    return of_trade("B01 D06 C02", row)


@statements("wrong currency")
def _currency(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice)
    other = {"USD": "HKD", "HKD": "USD"}[row.get("currency", "")]
    put(row, currency=other)
    return of_trade("B10", row)


@statements("trade date off by one")
def _date_off(told: Statements, dice: Random, place: Place) -> Expected:
    """The trade is dated on the weekday before."""
    row = an_execution(told, dice)
    before = day_of(row) - timedelta(days=1)
    while before.isoweekday() > 5:
        before -= timedelta(days=1)
    put(row, tradeDate=written(before))
    return of_trade("D10", row, days=[before, day_of(row)])


@statements("wrong settlement date")
def _settlement(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice)
    put(row, settleDateTarget=written(day(row.get("settleDateTarget", "")) + timedelta(days=7)))
    return of_trade("D10", row)


@statements("wrong time zone")
def _time_zone(told: Statements, dice: Random, place: Place) -> Expected:
    """The moment of an opening is told in another zone than that of its lot."""
    row = an_execution(told, dice, openCloseIndicator="O")
    put(row, dateTime=later(row.get("dateTime", ""), hours=-5))
    return of_symbol("C03", row)


@statements("commission missing")
def _fee_missing(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice)
    put(row, ibCommission="")
    return of_trade("B05 B08", row)


@statements("sign of a commission flipped")
def _fee_sign(told: Statements, dice: Random, place: Place) -> Expected:
    row = any_of(dice, [one for one in executions(told) if amount(one, "ibCommission")])
    put(row, ibCommission=-amount(row, "ibCommission"))
    return of_trade("B08", row)


@statements("commission off")
def _fee_off(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice)
    put(row, ibCommission=amount(row, "ibCommission") - Decimal("2.25"))
    return of_trade("B08", row)


@statements("part of a commission off")
def _fee_part(told: Statements, dice: Random, place: Place) -> Expected:
    part = told.one(dice, "UnbundledCommissionDetail")
    put(part, brokerExecutionCharge=amount(part, "brokerExecutionCharge") - Decimal("0.75"))
    return Expected("B08", row=part.get("tradeID", ""), account=part.get("accountId"), days=[told.day_of(part)])


@statements("parts of a commission told twice")
def _fee_twice(told: Statements, dice: Random, place: Place) -> Expected:
    part = told.one(dice, "UnbundledCommissionDetail")
    told.twin(part)
    return Expected("B08", row=part.get("tradeID", ""), account=part.get("accountId"), days=[told.day_of(part)])


@statements("commission in another currency")
def _fee_currency(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice)
    put(row, ibCommissionCurrency={"USD": "HKD", "HKD": "USD"}[row.get("currency", "")])
    return of_trade("B08 D06", row)


@statements("rate of a trade off")
def _rate_off(told: Statements, dice: Random, place: Place) -> Expected:
    row = any_of(dice, [one for one in executions(told) if one.get("currency") == "HKD"])
    put(row, fxRateToBase=amount(row, "fxRateToBase") * Decimal("1.02"))
    return of_trade("D12", row)


@statements("realized gain off")
def _realized_off(told: Statements, dice: Random, place: Place) -> Expected:
    row = any_of(dice, [one for one in executions(told) if amount(one, "fifoPnlRealized")])
    put(row, fifoPnlRealized=amount(row, "fifoPnlRealized") + 5)
    return of_trade("D01", row, Decimal(-5))


@statements("closed lot of another moment")
def _closed_lot(told: Statements, dice: Random, place: Place) -> Expected:
    """The trade closed a lot that was opened at another time than any of ours."""
    row = any_of(dice, [one for one in executions(told) if told.lots_of(one)])
    lot = dice.choice(told.lots_of(row))
    put(lot, openDateTime=later(lot.get("openDateTime", ""), days=-3))
    return of_trade("D02", row)


@statements("cancel without its rebooking")
def _no_rebook(told: Statements, dice: Random, place: Place) -> Expected:
    """Position and money know the rebooking, the trades do not."""
    cancel = told.one(dice, "Trade", transactionType="TradeCancel")
    found = told.rows("Trade", tradeID=cancel.get("origTradeID", ""), reportDate=cancel.get("reportDate", ""))
    if not found:
        raise NoPlaceError
    told.remove(found[-1])
    return of_symbol("B12 D06 C02", found[-1], row="")


@statements("rebooking without its cancel")
def _no_cancel(told: Statements, dice: Random, place: Place) -> Expected:
    cancel = told.one(dice, "Trade", transactionType="TradeCancel")
    told.remove(cancel)
    return of_symbol("B11 B12 D06", cancel, row="", days=_days(cancel))


@statements("cancel of a trade that nobody told")
def _cancel_of_nothing(told: Statements, dice: Random, place: Place) -> Expected:
    cancel = told.one(dice, "Trade", transactionType="TradeCancel")
    put(cancel, origTransactionID=int(cancel.get("origTransactionID", "0")) + 12_345, origTradeID="77")
    return of_trade("B12", cancel, row=str(cancel.get("transactionID")), days=_days(cancel))


def _days(cancel: ET.Element) -> list[date]:
    """The day of a cancel and that of the trade that it takes back."""
    return [day_of(cancel), day(cancel.get("tradeDate", ""))]


@statements("fill that cannot be read")
def _unreadable(told: Statements, dice: Random, place: Place) -> Expected:
    """It stands in quarantine, and the order, the cash and the position lack it."""
    row = an_execution(told, dice)
    put(row, tradePrice="abc")
    return of_symbol("B01 D06 C02", row, row="")
