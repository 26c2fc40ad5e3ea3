"""Faults of what Interactive Brokers tells of companies, transfers, reversals and ends of options: the made-up year."""

from datetime import date, timedelta
from random import Random
from typing import Any
from xml.etree import ElementTree as ET

from tests.faults.seeded_fault import Expected, books
from tests.faults.seeded_flex import Statements, amount, put
from tests.faults.seeded_ib_trades import day_of, of_trade
from tests.faults.seeded_year import Place


def month_of(about: ET.Element) -> list[date]:
    """The days up to the end of the statement after the one that tells a row: where it must show at the latest."""
    return [day_of(about) + timedelta(days=number) for number in range(32)]


def of_event(check: str, about: ET.Element, **told: Any) -> Expected:
    """A break about the contract of a row, within a month."""
    usual: dict[str, Any] = {"account": about.get("accountId"), "days": month_of(about), "row": about.get("conid")}
    return Expected(check, **(usual | told))


def an_action(told: Statements, dice: Random, *kinds: str) -> ET.Element:
    """A corporate action of one of these kinds."""
    return told.one(dice, "CorporateAction", lambda row: row.get("type") in kinds)


@books("split that nobody told")
def _split_missing(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_action(told, dice, "FS")
    told.remove(row)
    return of_event("C02", row, causes=("CORP_ACTION", None), delta=-amount(row, "quantity"))


@books("split told twice")
def _split_twice(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_action(told, dice, "FS")
    told.twin(row, transactionID=str(int(row.get("transactionID", "0")) + 3))
    return of_event("C08 C02", row)


@books("split of another ratio")
def _split_ratio(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_action(told, dice, "FS")
    put(row, quantity=amount(row, "quantity") * 2)
    return of_event("C08 C02", row)


@books("change of a name of which one side is told")
def _half_change(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "CorporateAction", lambda one: one.get("type") in ("IC", "RS") and amount(one, "quantity") < 0)
    told.remove(row)
    return of_event("C08 C02", row)


@books("merger of which the cash is not told")
def _merger(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_action(told, dice, "TC")
    put(row, proceeds="0", amount="0")
    return of_event("D06 D01", row, row="")


@books("transfer of shares that nobody told")
def _transfer(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "Transfer")
    told.remove(row)
    return of_event("C02", row, delta=-amount(row, "quantity"))


@books("transfer of shares with the other sign")
def _transfer_sign(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "Transfer")
    put(row, quantity=-amount(row, "quantity"), direction="OUT" if row.get("direction") == "IN" else "IN")
    return of_event("C02", row, delta=-2 * amount(row, "quantity") * -1)


@books("transfer of shares told twice")
def _transfer_twice(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "Transfer")
    told.twin(row, transactionID=str(int(row.get("transactionID", "0")) + 5))
    return of_event("C02", row, delta=amount(row, "quantity"))


def _reversed_tax(told: Statements, dice: Random) -> ET.Element:
    return told.one(dice, "CashTransaction", lambda row: amount(row, "amount") > 0, type="Withholding Tax")


@books("reversal that nobody told")
def _reversal_missing(told: Statements, dice: Random, place: Place) -> Expected:
    row = _reversed_tax(told, dice)
    told.remove(row)
    return Expected("D06", account=row.get("accountId"), days=month_of(row))


@books("reversal with the sign of a booking")
def _reversal_sign(told: Statements, dice: Random, place: Place) -> Expected:
    row = _reversed_tax(told, dice)
    put(row, amount=-amount(row, "amount"))
    return Expected("D13 D06", account=row.get("accountId"), days=month_of(row))


@books("reversal of another amount")
def _reversal_off(told: Statements, dice: Random, place: Place) -> Expected:
    row = _reversed_tax(told, dice)
    put(row, amount=amount(row, "amount") + 2)
    return Expected("D13 D06", account=row.get("accountId"), days=month_of(row))


@books("coupon of a bond that nobody told")
def _coupon(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "CashTransaction", lambda one: (one.get("type") or "").startswith("Bond Interest"))
    told.remove(row)
    return Expected("D06", account=row.get("accountId"), days=month_of(row))


@books("exercise of which only the shares are told")
def _option_leg(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "Trade", lambda one: one.get("notes") in ("A", "Ex"), assetCategory="OPT")
    told.remove(row, *told.rows("OptionEAE", tradeID=row.get("tradeID", "")))
    return of_event("C06 C02 C05", row, row="")


@books("exercise of which only the option is told")
def _share_leg(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "Trade", lambda one: one.get("notes") in ("A", "Ex"), assetCategory="STK")
    told.remove(row, *told.rows("OptionEAE", tradeID=row.get("tradeID", "")))
    return of_event("C06", row, row="", days=[day_of(row) + timedelta(days=n) for n in range(-5, 32)])


@books("expiry that nobody told")
def _expiry(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "Trade", notes="Ep")
    told.remove(*told.lots_of(row), row, *told.rows("OptionEAE", tradeID=row.get("tradeID", "")))
    return of_event("C02 C05", row, row="", days=[day_of(row) + timedelta(days=n) for n in range(-5, 32)])


@books("cancel that nobody told")
def _cancel(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "Trade", lambda one: one.get("assetCategory") == "STK", notes="Ca")
    told.remove(row)
    return of_trade("D06 C02 B11 B12", row, row="", days=[day_of(row) + timedelta(days=n) for n in range(-5, 32)])
