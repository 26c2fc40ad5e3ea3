"""Faults that are no changed word or row but another course of events, and courses of events that are no fault."""

from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

from apex_pipeline.brokers.futu.simulator_cash import CashBook
from apex_pipeline.brokers.ib.tws_records import DATA_TYPE
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import ALL_MARKETS, Ask, Call, Record, RecordKind, WholeDelivery
from apex_pipeline.store.repositories.loads import LoadRepository
from tests.faults.seeded_fault import SILENCE, Expected, Where, free
from tests.faults.seeded_flex import NoPlaceError, Statements
from tests.faults.seeded_futu_orders import an_order, of_order, order_key
from tests.faults.seeded_opend import Answers
from tests.faults.seeded_year import DAY, Loading, Place, months


@free("execution of TWS that no statement confirms", Broker.IB, Where.STATEMENTS_AGAIN)
def _provisional(loading: Loading, dice: Random, place: Place) -> Expected:
    account = dice.choice(place.scenario.accounts[Broker.IB])
    day = next(one for one in place.days()[dice.randrange(20) :] if one.isoweekday() < 6)
    contract = {
        "secType": "STK", "symbol": "AAPL", "localSymbol": "AAPL", "currency": "USD", "conId": "265598",
        "primaryExchange": "NASDAQ",
    }  # fmt: skip
    fill = {
        "_source": "TWS", "execId": "e.77.01.01", "_root": "e.77.01", "side": "BOT", "shares": "10", "price": "200",
        "contract": contract, "executedAt": f"{day}T15:00:00+00:00",
    }  # fmt: skip
    fee = {"_source": "TWS", "execId": "e.77.01.01", "_root": "e.77.01", "commission": "1", "currency": "USD"}
    records = (
        Record(RecordKind.PROVISIONAL, account, "e.77.01.01", day, fill, "P77"),
        Record(RecordKind.PROVISIONAL, account, "e.77.01.01/commission", day, fee, "P77"),
    )
    loads = LoadRepository(loading.db, Broker.IB)
    with loads.run(Ask(day, day, place.today)) as run_id:
        loads.store(
            run_id, Call(DATA_TYPE, None, ALL_MARKETS, day, day), WholeDelivery((), records, (), ()), loading.now()
        )
    return Expected("B13", account=account, days=[day], row="e.77.01")


@free("fee that is out of all proportion", Broker.FUTU, Where.HISTORY)
def _overcharged(loading: Loading, dice: Random, place: Place) -> Expected:
    """Told and booked alike: five hundred times what is usual."""
    told, [account, _] = Answers(), place.scenario.accounts[Broker.FUTU]
    days = set(place.cash_days)
    order = an_order(
        place, dice, lambda one: one.account_id == account and {fill.trade_date for fill in one.fills} <= days
    )
    fees, day = sum((one.amount for one in order.charges), Decimal(0)), order.fills[-1].trade_date
    own = next(one for one in place.scenario.account_details if one.account_id == account)
    [row] = [
        one
        for one in CashBook(place.scenario, own, "en", one_row_endings=False).rows(day)
        if one.cashFlowType == "Fees" and Decimal(repr(one.cashFlowAmount)) == -fees
    ][:1] or [None]
    if row is None:
        raise NoPlaceError

    def charged(one: Any) -> None:
        one.feeAmount = round(one.feeAmount * 500, 2)
        for part in one.feeList:
            part.value = round(part.value * 500, 2)

    told.change("fees", order_key(order), charged)
    told.change(
        "cash", (int(account), f"{day} {row.cashFlowID}"),
        lambda one: setattr(one, "cashFlowAmount", round(one.cashFlowAmount * 500, 2)),
    )  # fmt: skip
    loading.history(told)
    loading.cash_flow(day, day, told, again=True)
    return of_order("B09", order, days=[order.trade_date, day])


@free("statements that were made again", Broker.IB, Where.STATEMENTS_AGAIN)
def _made_again(loading: Loading, dice: Random, place: Place) -> Expected:
    """A commission is another one, and all statements since then say so."""
    scenario = place.scenario
    own = [
        one
        for one in scenario.orders
        if one.broker is Broker.IB and one.fills and place.first <= one.fills[0].trade_date <= place.last
    ]
    order = dice.choice(own)
    fill = order.fills[0]
    dearer = tuple(replace(one, amount=one.amount + (one is fill.charges[0])) for one in fill.charges)
    other = replace(order, fills=(replace(fill, charges=dearer), *order.fills[1:]))
    changed = replace(scenario, orders=tuple(other if one is order else one for one in scenario.orders))
    loading.statements(place.first, place.last, daily=True, scenario=changed)
    for first, last in months(place):
        if first > place.last:
            loading.statements(first, last, daily=False, scenario=changed)
    return Expected("A04", account=order.account_id, causes=("CORRECTION",), several=True)


@free("section missing", Broker.IB, Where.STATEMENTS_AGAIN)
def _section(loading: Loading, dice: Random, place: Place) -> Expected:
    """The newest statement has lost one: somebody changed the query."""
    section = dice.choice(("StmtFunds", "CashReport", "ConversionRates", "CashTransactions"))

    def lose(told: Statements) -> None:
        for one in list(told.root.iter(section)):
            told.remove(one)

    first, last = months(place)[-1]
    loading.statements(first, last, daily=False, plant=lose)
    return Expected("A05", row=section, several=True)


@free("field missing", Broker.IB, Where.STATEMENTS_AGAIN)
def _field(loading: Loading, dice: Random, place: Place) -> Expected:
    name = dice.choice(("openDateTime", "costBasisMoney", "originatingTransactionID"))

    def lose(told: Statements) -> None:
        for row in told.root.iter("OpenPosition"):
            row.attrib.pop(name, None)

    first, last = months(place)[-1]
    loading.statements(first, last, daily=False, plant=lose)
    return Expected("A05", row=name, several=True)


def _next_day(loading: Loading, told: Answers) -> None:
    """The history is asked for again on the day after, and the cash flow up to it."""
    loading.today += DAY
    loading.history(told)
    loading.cash_flow(loading.today - 3 * DAY, loading.today, told)


@free("cash that moved without a booking", Broker.FUTU, Where.HISTORY_AGAIN)
def _cash_moved(loading: Loading, dice: Random, place: Place) -> Expected:
    """A day later there is more, and the cash flow, once it is told, knows of nothing."""
    account, told = place.scenario.accounts[Broker.FUTU][0], Answers()

    def more(own: int, funds: Any) -> None:
        if own == int(account):
            for one in funds.cashInfoList:
                one.cash += 250 if one.currency == 2 else 0

    told.funds.append(more)
    _next_day(loading, told)
    day, loading.today = loading.today, loading.today + DAY
    loading.cash_flow(day, loading.today, told)
    return Expected("D07", account=account, days=[day], delta=Decimal(-250))


@free("another day on which nothing happened", Broker.FUTU, Where.HISTORY_AGAIN, is_fault=False)
def _quiet_day(loading: Loading, dice: Random, place: Place) -> Expected:
    _next_day(loading, Answers())
    return SILENCE


@free("statement told twice", Broker.IB, Where.STATEMENTS_AGAIN, is_fault=False)
def _told_twice(loading: Loading, dice: Random, place: Place) -> Expected:
    loading.statements(place.first, place.last, daily=True)
    return SILENCE


@free("days told again by a statement of a month", Broker.IB, Where.STATEMENTS_AGAIN, is_fault=False)
def _told_by_month(loading: Loading, dice: Random, place: Place) -> Expected:
    loading.statements(place.first - 20 * DAY, place.last + 10 * DAY, daily=False)
    return SILENCE


@free("rows told in another order", Broker.IB, Where.STATEMENTS, is_fault=False)
def _shuffled(loading: Loading, dice: Random, place: Place) -> Expected:
    """All rows but the lines of funds, whose order says which balance follows which."""

    def shuffle(told: Statements) -> None:
        for name in (
            "CashTransactions",
            "OpenPositions",
            "ConversionRates",
            "SecuritiesInfo",
            "OptionEAE",
            "CashReport",
        ):
            for section in told.root.iter(name):
                rows = list(section)
                dice.shuffle(rows)
                section[:] = rows

    loading.statements(place.first, place.last, daily=True, plant=shuffle)
    return SILENCE


@free("rows told twice under their own ids", Broker.IB, Where.STATEMENTS, is_fault=False)
def _repeated(loading: Loading, dice: Random, place: Place) -> Expected:
    def repeat(told: Statements) -> None:
        rows = [*told.rows("Trade"), *told.rows("CashTransaction", levelOfDetail="DETAIL")]
        for row in dice.sample(rows, 5):
            told.twin(row)

    loading.statements(place.first, place.last, daily=True, plant=repeat)
    return SILENCE


@free("history told twice", Broker.FUTU, Where.HISTORY_AGAIN, is_fault=False)
def _history_twice(loading: Loading, dice: Random, place: Place) -> Expected:
    loading.history(again=True)
    return SILENCE


@free("cash flow told twice", Broker.FUTU, Where.HISTORY_AGAIN, is_fault=False)
def _cash_twice(loading: Loading, dice: Random, place: Place) -> Expected:
    loading.cash_flow(place.cash_days[0], place.cash_days[-1], again=True)
    return SILENCE


@free("deals told twice under their own ids", Broker.FUTU, Where.HISTORY, is_fault=False)
def _deals_repeated(loading: Loading, dice: Random, place: Place) -> Expected:
    told = Answers()
    own = [
        (int(one.account_id), str(fill.fill_id))
        for one in place.scenario.orders
        for fill in one.fills
        if one.broker is Broker.FUTU
    ]
    for key in dice.sample(own, 5):
        told.twin("deals", key, lambda _: None)
    loading.history(told)
    return SILENCE
