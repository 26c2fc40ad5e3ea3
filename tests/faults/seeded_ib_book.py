"""Faults of what Interactive Brokers tells of positions, lots and the ends of options."""

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from xml.etree import ElementTree as ET

from tests.faults.seeded_fault import Expected, statements
from tests.faults.seeded_flex import Statements, amount, any_of, later, put
from tests.faults.seeded_ib_trades import day_of, executions, of_symbol, of_trade
from tests.faults.seeded_year import Place

DAY = timedelta(days=1)


def a_position(told: Statements, dice: Random, level: str = "SUMMARY", **values: str) -> ET.Element:
    """A position, or a lot, that is told on a day on which nothing of its contract was traded."""
    traded = {(row.get("accountId"), row.get("conid"), row.get("reportDate")) for row in told.rows("Trade")}
    return told.one(
        dice, "OpenPosition",
        lambda row: (row.get("accountId"), row.get("conid"), row.get("reportDate")) not in traded,
        levelOfDetail=level, **values,
    )  # fmt: skip


def lots(told: Statements, row: ET.Element) -> list[ET.Element]:
    """The lots of a position on its day."""
    same = {name: row.get(name, "") for name in ("accountId", "conid", "reportDate")}
    return told.rows("OpenPosition", levelOfDetail="LOT", **same)


def of_position(check: str, about: ET.Element, delta: Decimal | None = None, **told: Any) -> Expected:
    """A break about a position, on its day."""
    usual: dict[str, Any] = {"subject": about.get("conid")}
    return of_symbol(check, about, delta, **(usual | told))


def next_days(about: ET.Element) -> list[date]:
    """The day of a row and the days after it, over a weekend."""
    return [day_of(about) + number * DAY for number in range(5)]


@statements("stale position")
def _stale(told: Statements, dice: Random, place: Place) -> Expected:
    """The position is told as it was before the trades of the day."""
    trade = any_of(dice, [row for row in executions(told) if _is_known(told, row)])
    [position] = told.rows("OpenPosition", **_of_contract(trade), levelOfDetail="SUMMARY")
    gone = sum((amount(row, "quantity") for row in told.rows("Trade", **_of_contract(trade))), Decimal(0))
    put(position, position=amount(position, "position") - gone)
    return of_position("C02", position, gone)


def _of_contract(row: ET.Element) -> dict[str, str]:
    return {name: row.get(name, "") for name in ("accountId", "conid", "reportDate")}


def _is_known(told: Statements, row: ET.Element) -> bool:
    """Whether the contract of a trade is still held, and was held before, at the end of its day."""
    held = told.rows("OpenPosition", **_of_contract(row), levelOfDetail="SUMMARY")
    gone = sum((amount(one, "quantity") for one in told.rows("Trade", **_of_contract(row))), Decimal(0))
    return bool(held and gone) and amount(held[0], "position") != gone


@statements("position missing")
def _missing(told: Statements, dice: Random, place: Place) -> Expected:
    position = a_position(told, dice)
    told.remove(position, *lots(told, position))
    return of_position("C02", position, amount(position, "position"), causes=("MISSING_A", None))


@statements("position that nobody opened")
def _extra(told: Statements, dice: Random, place: Place) -> Expected:
    position = a_position(told, dice, assetCategory="STK", currency="USD")
    twin = told.twin(position, conid="8314", symbol="IBM", description="INTL BUSINESS MACHINES")
    return of_position("C02", twin, -amount(twin, "position"), causes=("OPENING_BALANCE", "MISSING_B"))


@statements("sign of a position flipped")
def _sign(told: Statements, dice: Random, place: Place) -> Expected:
    position = a_position(told, dice)
    put(position, position=-amount(position, "position"))
    return of_position("C02", position, -2 * amount(position, "position"))


@statements("quantity of a position off by one")
def _qty(told: Statements, dice: Random, place: Place) -> Expected:
    position = a_position(told, dice)
    put(position, position=amount(position, "position") + 1)
    return of_position("C02", position, Decimal(-1))


@statements("average cost of a position off")
def _cost(told: Statements, dice: Random, place: Place) -> Expected:
    position = a_position(told, dice)
    put(
        position, costBasisMoney=amount(position, "costBasisMoney") * Decimal("1.02"),
        costBasisPrice=amount(position, "costBasisPrice") * Decimal("1.02"),
        openPrice=amount(position, "openPrice") * Decimal("1.02"),
    )  # fmt: skip
    return of_position("C04", position)


@statements("unrealized gain of a position off")
def _unrealized(told: Statements, dice: Random, place: Place) -> Expected:
    position = a_position(told, dice)
    put(position, fifoPnlUnrealized=amount(position, "fifoPnlUnrealized") * 2 + 77)
    return of_position("D04", position)


@statements("mark of a position off")
def _mark(told: Statements, dice: Random, place: Place) -> Expected:
    """Its value and its gain are right."""
    position = a_position(told, dice)
    put(position, markPrice=amount(position, "markPrice") * 2 + 1)
    return of_position("D04", position, causes=("REFERENCE_DATA",))


@statements("value of a position off")
def _value(told: Statements, dice: Random, place: Place) -> Expected:
    position = a_position(told, dice)
    put(position, positionValue=amount(position, "positionValue") * Decimal("1.1"))
    return of_position("D04", position, causes=("REFERENCE_DATA",))


@statements("currency of a position mislabelled")
def _position_currency(told: Statements, dice: Random, place: Place) -> Expected:
    position = a_position(told, dice)
    put(position, currency={"USD": "HKD", "HKD": "USD"}[position.get("currency", "")])
    return of_position("D04", position, causes=("REFERENCE_DATA",))


@statements("lot missing")
def _lot_missing(told: Statements, dice: Random, place: Place) -> Expected:
    position = a_position(told, dice)
    lot = any_of(dice, lots(told, position))
    told.remove(lot)
    return of_position("C03", position, amount(lot, "position"), causes=("MISSING_A", None))


@statements("cost of a lot off")
def _lot_cost(told: Statements, dice: Random, place: Place) -> Expected:
    lot = a_position(told, dice, "LOT")
    put(lot, costBasisMoney=amount(lot, "costBasisMoney") + 7)
    return of_position("C03", lot, Decimal(-7))


@statements("moment of a lot off")
def _lot_moment(told: Statements, dice: Random, place: Place) -> Expected:
    lot = a_position(told, dice, "LOT")
    put(lot, openDateTime=later(lot.get("openDateTime", ""), hours=-13))
    return of_position("C03", lot)


@statements("quantity of a lot off by one")
def _lot_qty(told: Statements, dice: Random, place: Place) -> Expected:
    lot = a_position(told, dice, "LOT")
    put(lot, position=amount(lot, "position") + 1)
    return of_position("C03", lot, Decimal(-1))


@statements("expiry that nobody told")
def _expiry(told: Statements, dice: Random, place: Place) -> Expected:
    """An option is held although it has expired; the positions are told without it."""
    row = told.one(dice, "Trade", lambda one: _is_early(one, place), transactionType="BookTrade", notes="Ep")
    told.remove(*told.lots_of(row), row, *_endings(told, row))
    return of_symbol("C02 C05", row, row="", days=next_days(row), causes=("LIFECYCLE", "MISSING_A", None))


@statements("assignment of which only the shares are told")
def _option_leg(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "Trade", lambda one: one.get("notes") in ("A", "Ex"), assetCategory="OPT")
    told.remove(*told.lots_of(row), row, *_endings(told, row))
    return of_symbol("C02 C05 C06", row, row="", days=[day_of(row) + timedelta(days=n) for n in range(-5, 8)])


@statements("assignment of which only the option is told")
def _share_leg(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "Trade", lambda one: one.get("notes") in ("A", "Ex"), assetCategory="STK")
    told.remove(*told.lots_of(row), row, *_endings(told, row))
    return Expected("C06", account=row.get("accountId"), days=[day_of(row) - number * DAY for number in range(5)])


@statements("assignment at another price")
def _strike_off(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "Trade", lambda one: one.get("notes") in ("A", "Ex"), assetCategory="STK")
    put(row, tradePrice=amount(row, "tradePrice") + 1)
    return of_trade("B10 C06", row, days=())


@statements("ending that only its own section tells")
def _ending_section(told: Statements, dice: Random, place: Place) -> Expected:
    """The section of exercises, assignments and expiries names one that is no trade."""
    ended = told.one(dice, "OptionEAE", transactionType="Expiration")
    other = int(ended.get("tradeID", "0")) + 5_555
    told.twin(ended, tradeID=str(other), conid="700999999", symbol="ZZZ   250718C00001000", description="ZZZ")
    return Expected("C05", account=ended.get("accountId"), row="700999999", causes=("MISSING_B",))


def _is_early(row: ET.Element, place: Place) -> bool:
    """Whether statements of single days follow."""
    return day_of(row) <= place.last - 4 * DAY


def _endings(told: Statements, row: ET.Element) -> list[ET.Element]:
    """What the section of endings says of a book trade."""
    return told.rows("OptionEAE", accountId=row.get("accountId", ""), tradeID=row.get("tradeID", ""))
