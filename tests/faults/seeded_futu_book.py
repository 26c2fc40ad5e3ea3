"""Faults of what Futu tells of positions and cash, and of what it tells otherwise a second time."""

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any

from apex_pipeline.brokers.futu.simulator_cash import CashBook
from apex_pipeline.brokers.futu.simulator_messages import wire_code
from apex_pipeline.brokers.scenario import Holding, ScenarioAccount
from apex_pipeline.domain.models import AssetClass, Broker
from tests.faults.seeded_fault import Expected, Where, answers
from tests.faults.seeded_flex import NoPlaceError
from tests.faults.seeded_futu_orders import an_order, is_plain, of_order, order_key
from tests.faults.seeded_opend import Answers, Key
from tests.faults.seeded_year import Place


def a_holding(place: Place, dice: Random, test: Callable[[Holding], bool] = lambda _: True) -> Holding:
    """Any position that Futu tells at the end of the year."""
    own = [one for one in place.scenario.holdings if one.broker is Broker.FUTU and one.qty and test(one)]
    if not own:
        raise NoPlaceError
    return dice.choice(own)


def held_key(holding: Holding) -> Key:
    """What names the row of a position."""
    return int(holding.account_id), wire_code(holding.contract)


def of_position(check: str, holding: Holding, delta: Decimal | None = None, **told: Any) -> Expected:
    """A break about a position, on the day of the snapshot."""
    named = holding.contract.code if holding.contract.strike is None else f"{holding.contract.strike.normalize():f}"
    usual: dict[str, Any] = {"subject": named, "account": holding.account_id}
    return Expected(check, delta=delta, **(usual | told))


@answers("position missing")
def _position_missing(told: Answers, dice: Random, place: Place) -> Expected:
    holding = a_holding(place, dice)
    told.drop("positions", held_key(holding))
    return of_position("C02", holding, holding.qty, days=[place.today], causes=("MISSING_A", None))


@answers("stale position")
def _position_stale(told: Answers, dice: Random, place: Place) -> Expected:
    holding = a_holding(place, dice, lambda one: abs(one.qty) > 1)
    step = 1 if holding.contract.asset_class is AssetClass.OPTION else holding.contract.lot

    def before(row: Any) -> None:
        row.qty += step
        row.canSellQty = row.qty

    told.change("positions", held_key(holding), before)
    return of_position("C02", holding, Decimal(-step), days=[place.today])


@answers("sign of a position flipped")
def _position_sign(told: Answers, dice: Random, place: Place) -> Expected:
    holding = a_holding(place, dice)

    def other_side(row: Any) -> None:
        row.qty, row.positionSide = -row.qty, 1 - row.positionSide

    told.change("positions", held_key(holding), other_side)
    return of_position("C02", holding, 2 * holding.qty, days=[place.today])


@answers("position that nobody opened")
def _position_extra(told: Answers, dice: Random, place: Place) -> Expected:
    holding = a_holding(place, dice, lambda one: one.contract.asset_class is AssetClass.STOCK)

    def another(row: Any) -> None:
        row.code, row.positionID, row.name = ("00005" if row.secMarket == 1 else "IBM"), 77_777, "another"

    told.twin("positions", held_key(holding), another)
    return Expected("C02", account=holding.account_id, days=[place.today], delta=-holding.qty,
                    causes=("OPENING_BALANCE",))  # fmt: skip


@answers("average cost of a position off")
def _cost_off(told: Answers, dice: Random, place: Place) -> Expected:
    holding = a_holding(place, dice)

    def dearer(row: Any) -> None:
        row.averageCostPrice = round(row.averageCostPrice * 1.05 + 0.02, 3)

    told.change("positions", held_key(holding), dearer)
    return of_position("C04", holding, days=[place.today])


@answers("unrealized gain of a position off")
def _unrealized_off(told: Answers, dice: Random, place: Place) -> Expected:
    holding = a_holding(place, dice)

    def more(row: Any) -> None:
        row.unrealizedPL, row.plVal = row.unrealizedPL * 1.1 + 50, row.plVal * 1.1 + 50

    told.change("positions", held_key(holding), more)
    return of_position("D04", holding, days=[place.today])


@answers("diluted cost of a position off")
def _diluted_off(told: Answers, dice: Random, place: Place) -> Expected:
    """As if something had been gained on a position that was never reduced."""
    holding = a_holding(place, dice)
    told.change(
        "positions", held_key(holding), lambda row: setattr(row, "dilutedCostPrice", row.dilutedCostPrice * 1.2)
    )
    return of_position("D03", holding, days=[place.today])


@answers("combination with the name of another")
def _other_label(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice, lambda one: len(one.legs) == 2 and "SPREAD" in one.strategy and one.action == "OPEN")
    told.change("orders", order_key(order), lambda row: setattr(row, "strategyType", 6))
    return of_order("C10", order, days=[order.trade_date], subject="")


class _Booked:
    """A row of the cash flow of the days that are told last."""

    def __init__(self, place: Place, dice: Random, *words: str) -> None:
        accounts = [one for one in place.scenario.account_details if one.broker is Broker.FUTU]
        found = [
            (account, row)
            for account in accounts
            for day in place.cash_days
            for row in _book(place, account).rows(day)
            if row.cashFlowType in words and row.cashFlowAmount
        ]
        if not found:
            raise NoPlaceError
        account, self.row = dice.choice(found)
        self.account = account.account_id
        self.key = int(self.account), f"{self.row.clearingDate} {self.row.cashFlowID}"
        self.day = next(day for day in place.cash_days if str(day) == self.row.clearingDate)
        self.amount = Decimal(repr(self.row.cashFlowAmount))
        self.uid = f"FUTU_{self.account}_C{self.row.clearingDate}:{self.row.cashFlowID}"

    def of_day(self, delta: Decimal | None = None, **told: Any) -> Expected:
        """A break of what was booked on this day."""
        return Expected("D07", account=self.account, days=[self.day], delta=delta, subject=self.account, **told)


def _book(place: Place, account: ScenarioAccount) -> CashBook:
    return CashBook(place.scenario, account, "en", one_row_endings=False)


@answers("booking of a trade missing", Where.CASH_FLOW)
def _flow_missing(told: Answers, dice: Random, place: Place) -> Expected:
    booked = _Booked(place, dice, "Trade")
    told.drop("cash", booked.key)
    return booked.of_day(booked.amount)


@answers("booking of a fee missing", Where.CASH_FLOW)
def _flow_fee_missing(told: Answers, dice: Random, place: Place) -> Expected:
    booked = _Booked(place, dice, "Fees")
    told.drop("cash", booked.key)
    return booked.of_day(booked.amount)


@answers("booking told twice under two ids", Where.CASH_FLOW)
def _flow_twice(told: Answers, dice: Random, place: Place) -> Expected:
    booked = _Booked(place, dice, "Trade", "Fees")
    told.twin("cash", booked.key, lambda row: setattr(row, "cashFlowID", row.cashFlowID + 5_000))
    return booked.of_day(-booked.amount, row=f"{booked.row.clearingDate}:{booked.row.cashFlowID + 5_000}")


@answers("amount of a booking off", Where.CASH_FLOW)
def _flow_amount(told: Answers, dice: Random, place: Place) -> Expected:
    booked = _Booked(place, dice, "Trade")
    off = Decimal("11.5").copy_sign(booked.amount)  # its direction stays

    def more(row: Any) -> None:
        row.cashFlowAmount = float(Decimal(repr(row.cashFlowAmount)) + off)

    told.change("cash", booked.key, more)
    return booked.of_day(-off, row=booked.uid)


@answers("sign of a booking flipped", Where.CASH_FLOW)
def _flow_sign(told: Answers, dice: Random, place: Place) -> Expected:
    booked = _Booked(place, dice, "Trade")

    def flipped(row: Any) -> None:
        row.cashFlowAmount, row.cashFlowDirection = -row.cashFlowAmount, 3 - row.cashFlowDirection

    told.change("cash", booked.key, flipped)
    return booked.of_day(2 * booked.amount, row=booked.uid)


@answers("currency of a booking mislabelled", Where.CASH_FLOW)
def _flow_currency(told: Answers, dice: Random, place: Place) -> Expected:
    booked = _Booked(place, dice, "Trade")
    told.change("cash", booked.key, lambda row: setattr(row, "currency", 3 - row.currency))
    return booked.of_day()


@answers("assignment that the cash flow does not tell", Where.CASH_FLOW)
def _ending_missing(told: Answers, dice: Random, place: Place) -> Expected:
    """Its naming row and its money are gone: the option is taken for expired, and no share came."""
    accounts = [one for one in place.scenario.account_details if one.broker is Broker.FUTU]
    found = [
        (account, day, row, money)
        for account in accounts
        for day in place.cash_days
        for rows in [_book(place, account).rows(day)]
        for row, money in pairwise(rows)
        if row.cashFlowRemark.startswith("Opt ")
    ]
    if not found:
        raise NoPlaceError
    account, day, row, money = dice.choice(found)
    for gone in (row, money):
        told.drop("cash", (int(account.account_id), f"{day} {gone.cashFlowID}"))
    return Expected("C02", account=account.account_id, days=[place.today])


@answers("status that goes back", Where.HISTORY_AGAIN)
def _status_back(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice, is_plain)
    told.change("orders", order_key(order), lambda row: setattr(row, "orderStatus", 5))
    return of_order("B14", order)


@answers("fill taken back without a word of its order", Where.HISTORY_AGAIN)
def _cancelled_fill(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice, is_plain)
    fill = dice.choice(order.fills)
    told.change("deals", (int(order.account_id), str(fill.fill_id)), lambda row: setattr(row, "status", 1))
    return of_order("B01", order, -fill.qty)
