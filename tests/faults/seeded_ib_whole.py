"""Faults of whole answers of Interactive Brokers, and of what it tells a second time."""

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from xml.etree import ElementTree as ET

from tests.faults.seeded_fault import Expected, statements
from tests.faults.seeded_flex import Statements, amount, any_of, day, put, written
from tests.faults.seeded_ib_trades import an_execution, day_of, executions, of_trade
from tests.faults.seeded_year import Place

DAY = timedelta(days=1)


def last_day(statement: ET.Element) -> date:
    """The day that a statement ends with."""
    return day(statement.get("toDate", ""))


def quiet(told: Statements, dice: Random, place: Place) -> ET.Element:
    """A statement of a session in which nothing was traded, booked or ended."""
    sessions = _sessions(place)

    def is_quiet(one: ET.Element) -> bool:
        busy = any(one.find(f".//{tag}") is not None for tag in ("Trade", "CashTransaction", "Transfer"))
        return last_day(one) in sessions and not busy

    return any_of(dice, [one for one in told.all() if is_quiet(one)])


def _sessions(place: Place) -> set[date]:
    return {day for (market, _), closes in place.scenario.closes.items() if market == "US" for day in closes}


@statements("answer cut off")
def _cut(told: Statements, dice: Random, place: Place) -> Expected:
    """Half of the bytes arrive: it cannot be read, and its days are not loaded."""
    told.cut = len(told.content()) // 2
    return Expected("A02", days=place.days(), several=True)


@statements("day missing")
def _day_missing(told: Statements, dice: Random, place: Place) -> Expected:
    statement = quiet(told, dice, place)
    told.remove(statement)
    return Expected(
        "A02", account=statement.get("accountId"), days=[last_day(statement)], causes=("MISSING_A", "PIPELINE", None)
    )


@statements("window that was shrunk")
def _shrunk(told: Statements, dice: Random, place: Place) -> Expected:
    """The second half of the asked days is told."""
    middle = place.first + timedelta(days=dice.randrange(3, 20))
    told.remove(*[one for one in told.all() if last_day(one) < middle])
    return Expected(
        "A02", days=[place.first + number * DAY for number in range((middle - place.first).days)], several=True
    )


@statements("statement that shows orders only")
def _orders_only(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice)
    statement = told.statement_of(row)
    told.remove(*list(statement.iter("Trade")))
    # on a holiday of New York no statement is due, and only the funds know of trades in Hong Kong
    return Expected("A02 D06", account=row.get("accountId"), days=[day_of(row)])


@statements("word that no rule knows")
def _word(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice)
    row.set("lunarPhase", "waning")
    return Expected("A06", row="lunarPhase", account=row.get("accountId"), days=[day_of(row)])


@statements("price told otherwise later", again=True)
def _price_again(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice)
    put(row, tradePrice=amount(row, "tradePrice") + Decimal("0.10"))
    return of_trade("A04", row, causes=("CORRECTION",))


@statements("trade gone from the statement later", again=True)
def _gone_again(told: Statements, dice: Random, place: Place) -> Expected:
    row = any_of(dice, [one for one in executions(told) if len(list(told.statement_of(one).iter("Trade"))) > 1])
    told.remove(*told.lots_of(row), row)
    return of_trade("A04", row, causes=("CORRECTION",))


@statements("booking told otherwise later", again=True)
def _cash_again(told: Statements, dice: Random, place: Place) -> Expected:
    row = told.one(dice, "CashTransaction", levelOfDetail="DETAIL")
    put(row, amount=amount(row, "amount") + 1)
    return Expected("A04", account=row.get("accountId"), row=row.get("transactionID", ""), causes=("CORRECTION",))


@statements("commission told otherwise later", again=True)
def _commission_again(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice)
    put(row, ibCommission=amount(row, "ibCommission") - 1)
    return of_trade("A04", row, causes=("CORRECTION",))


@statements("day moved later", again=True)
def _day_again(told: Statements, dice: Random, place: Place) -> Expected:
    row = an_execution(told, dice)
    put(row, tradeDate=written(day_of(row) - DAY))
    return of_trade("A04", row, causes=("CORRECTION",), days=(day_of(row), day_of(row) - DAY))
