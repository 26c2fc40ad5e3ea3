"""Faults of what Futu tells of orders, deals and fees."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from apex_pipeline.brokers.futu.simulator_messages import ZONES, order_id_ex, wire_code
from apex_pipeline.brokers.scenario import Fill, ScenarioOrder
from apex_pipeline.domain.models import AssetClass, Broker, Side
from tests.faults.seeded_fault import Expected, answers
from tests.faults.seeded_flex import NoPlaceError
from tests.faults.seeded_opend import Answers, Key
from tests.faults.seeded_year import Place

Test = Callable[[ScenarioOrder], bool]


def an_order(place: Place, dice: Random, test: Test = lambda _: True) -> ScenarioOrder:
    """Any filled order of Futu that passes a test."""
    found = [one for one in place.scenario.orders if one.broker is Broker.FUTU and one.fills and test(one)]
    if not found:
        raise NoPlaceError
    return dice.choice(found)


def is_plain(order: ScenarioOrder) -> bool:
    """Whether it is no combination."""
    return not order.legs


def order_key(order: ScenarioOrder) -> Key:
    """What names its row, and that of its fee."""
    return int(order.account_id), order_id_ex(order)


def deal_key(order: ScenarioOrder, fill: Fill) -> Key:
    """What names the row of a deal."""
    return int(order.account_id), str(fill.fill_id)


def order_uid(order: ScenarioOrder) -> str:
    """Its name in our tables."""
    return f"FUTU_{order.account_id}_{order_id_ex(order)}"


def trade_uid(order: ScenarioOrder, fill: Fill) -> str:
    """The name of a deal in our tables."""
    return f"FUTU_{order.account_id}_{fill.fill_id}"


def of_order(check: str, order: ScenarioOrder, delta: Decimal | None = None, **told: Any) -> Expected:
    """A break about an order, on its day."""
    uid = order_uid(order)
    usual: dict[str, Any] = {"subject": uid, "row": uid, "account": order.account_id, "days": [order.trade_date]}
    return Expected(check, delta=delta, **(usual | told))


def moved(row: Any, step: timedelta) -> None:
    """A row told as if it had been created at another time."""
    zone = ZONES["US" if row.secMarket == 2 else "HK"]
    row.createTimestamp += step.total_seconds()
    local = datetime.fromtimestamp(row.createTimestamp, UTC).astimezone(zone)
    row.createTime = local.isoformat(" ", "milliseconds")[:23]


@answers("missing fill")
def _missing_fill(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice)
    fill = dice.choice(order.fills)
    told.drop("deals", deal_key(order, fill))
    return of_order("B01", order, -fill.qty, causes=("MISSING_B", None))


@answers("fills of a leg lost")
def _lost_leg(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice, lambda one: bool(one.legs))
    leg = dice.choice(order.legs)
    lost = [fill for fill in order.fills if fill.contract == leg.contract]
    for fill in lost:
        told.drop("deals", deal_key(order, fill))
    return of_order("B01", order, -sum((fill.qty for fill in lost), Decimal(0)), causes=("MISSING_B",))


@answers("fill told twice under two ids")
def _twin_fill(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice)
    fill = dice.choice(order.fills)

    def renumber(row: Any) -> None:
        row.fillID += 500_000
        row.fillIDEx = str(row.fillID)

    told.twin("deals", deal_key(order, fill), renumber)
    return of_order("B01", order, fill.qty, row=f"FUTU_{order.account_id}_{fill.fill_id + 500_000}")


@answers("extra fill")
def _extra_fill(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice, is_plain)
    fill = dice.choice(order.fills)

    def another(row: Any) -> None:
        row.fillID += 700_000
        row.fillIDEx = str(row.fillID)
        row.qty += 1
        row.price = round(row.price * 1.01, 2)
        moved(row, timedelta(seconds=2))

    told.twin("deals", deal_key(order, fill), another)
    return of_order("B01", order, fill.qty + 1, row=f"FUTU_{order.account_id}_{fill.fill_id + 700_000}")


@answers("quantity of a fill off by one")
def _qty_off(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice)
    fill = dice.choice(order.fills)
    told.change("deals", deal_key(order, fill), lambda row: setattr(row, "qty", row.qty + 1))
    return of_order("B01", order, Decimal(1), row=trade_uid(order, fill))


@answers("filled quantity of an order off by one")
def _filled_off(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice, is_plain)
    told.change("orders", order_key(order), lambda row: setattr(row, "fillQty", row.fillQty + 1))
    return of_order("B01", order, Decimal(-1))


@answers("price of a fill off")
def _price_off(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice, is_plain)
    fill = dice.choice(order.fills)
    told.change("deals", deal_key(order, fill), lambda row: setattr(row, "price", round(row.price * 1.1 + 0.01, 2)))
    return of_order("B02", order, row=trade_uid(order, fill))


@answers("price of a fill of a combination off")
def _combo_price_off(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice, lambda one: bool(one.legs))
    fill = dice.choice(order.fills)
    told.change("deals", deal_key(order, fill), lambda row: setattr(row, "price", round(row.price * 1.1 + 0.05, 2)))
    return of_order("B02", order, row=trade_uid(order, fill))


@answers("average price of an order off")
def _average_off(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice, is_plain)
    told.change("orders", order_key(order), lambda row: setattr(row, "fillAvgPrice", row.fillAvgPrice * 1.01 + 0.01))
    return of_order("B02", order)


@answers("side of a fill flipped")
def _side_flipped(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice, is_plain)
    fill = dice.choice(order.fills)
    other = 2 if fill.side is Side.BUY else 1
    told.change("deals", deal_key(order, fill), lambda row: setattr(row, "trdSide", other))
    return of_order("B01", order, row=trade_uid(order, fill))


@answers("fill of another contract")
def _other_contract(told: Answers, dice: Random, place: Place) -> Expected:
    """The strike of an option is wrong, so its order and its deal speak of two contracts."""
    order = an_order(place, dice, lambda one: is_plain(one) and one.contract.asset_class is AssetClass.OPTION)
    fill = dice.choice(order.fills)
    code = wire_code(fill.contract)
    wrong = f"{code[:-4]}{int(code[-4:]) + 1000:04d}"
    told.change("deals", deal_key(order, fill), lambda row: setattr(row, "code", wrong))
    return of_order("B01", order)


@answers("fill of another order")
def _other_order(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice)
    fill = dice.choice(order.fills)

    def unknown(row: Any) -> None:
        row.orderIDEx, row.orderID = "Z" + row.orderIDEx[1:17] + "9", row.orderID ^ 1

    told.change("deals", deal_key(order, fill), unknown)
    lost = f"FUTU_{order.account_id}_Z{order_id_ex(order)[1:17]}9"
    return Expected("B03", subject=lost, account=order.account_id, row=trade_uid(order, fill))


@answers("fill of another account")
def _other_account(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice, lambda one: one.account_id != place.scenario.accounts[Broker.FUTU][0])
    fill = dice.choice(order.fills)
    there = place.scenario.accounts[Broker.FUTU][0]
    told.move("deals", deal_key(order, fill), int(there))
    return Expected("B11", subject=f"FUTU_{there}_{fill.fill_id}", account=there, row=order_uid(order))


@answers("trade date of a fill off by one")
def _date_off(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice, lambda one: is_plain(one) and one.fills[0].trade_date.isoweekday() < 5)
    fill = order.fills[-1]
    told.change("deals", deal_key(order, fill), lambda row: moved(row, timedelta(days=1)))
    days = [fill.trade_date, fill.trade_date + timedelta(days=1)]
    return Expected("D07", account=order.account_id, days=days, causes=("TIMING",), state="EXPLAINED", several=True)


@answers("order missing")
def _order_missing(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice)
    told.drop("orders", order_key(order))
    days = sorted({fill.trade_date for fill in order.fills})
    return of_order("B03", order, causes=("REFERENCE_DATA",), days=days)


@answers("trade that only the cash flow tells")
def _only_cash(told: Answers, dice: Random, place: Place) -> Expected:
    """Order, fills and fees are never told; the money was booked."""
    order = an_order(place, dice, is_plain)
    for fill in order.fills:
        told.drop("deals", deal_key(order, fill))
    told.drop("orders", order_key(order))
    return Expected("D07", account=order.account_id, days=sorted({fill.trade_date for fill in order.fills}))


@answers("currency of an order mislabelled")
def _order_currency(told: Answers, dice: Random, place: Place) -> Expected:
    """The currency of its fills and fees is that of the order, and how an option ended is in that of its opening."""
    order = an_order(place, dice, is_plain)
    told.change("orders", order_key(order), lambda row: setattr(row, "currency", {1: 2, 2: 1}[row.currency]))
    days = sorted({fill.trade_date for fill in order.fills})
    return Expected("B10", account=order.account_id, days=days, causes=("REFERENCE_DATA",), several=True)


@answers("fees missing")
def _fee_missing(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice)
    told.drop("fees", order_key(order))
    return of_order("B05", order)


@answers("fees pending for good")
def _fee_pending(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice)

    def pending(row: Any) -> None:
        row.ClearField("feeAmount")
        row.ClearField("feeList")

    told.change("fees", order_key(order), pending)
    return of_order("B05", order, causes=("FEE_PENDING",))


@answers("total of fees off")
def _fee_total(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice)
    told.change("fees", order_key(order), lambda row: setattr(row, "feeAmount", round(row.feeAmount + 1.37, 2)))
    return of_order("B06", order, causes=("ANY", None, "ROUNDING", "MISSING_B"))


@answers("part of the fees off")
def _fee_part(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice)

    def dearer(row: Any) -> None:
        row.feeList[0].value = round(row.feeList[0].value + 0.99, 2)

    told.change("fees", order_key(order), dearer)
    return of_order("B06", order)


@answers("part of the fees told twice")
def _fee_twice(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice)
    told.change("fees", order_key(order), lambda row: row.feeList.add().CopyFrom(row.feeList[0]))
    return of_order("B06", order)


@answers("sign of a fee flipped")
def _fee_sign(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice)

    def received(row: Any) -> None:
        row.feeList[0].value = -row.feeList[0].value

    told.change("fees", order_key(order), received)
    return of_order("B06", order)


@answers("fees of a combination told per leg")
def _fee_per_leg(told: Answers, dice: Random, place: Place) -> Expected:
    """Total and parts agree with each other, but each is as often in them as the order has legs."""
    order = an_order(place, dice, lambda one: bool(one.legs))

    def per_leg(row: Any) -> None:
        row.feeAmount = round(row.feeAmount * len(order.legs), 2)
        for part in row.feeList:
            part.value = round(part.value * len(order.legs), 2)

    told.change("fees", order_key(order), per_leg)
    return Expected("D07", account=order.account_id, days=sorted({fill.trade_date for fill in order.fills}))


@answers("fees three times as large as what was booked")
def _fee_threefold(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice, is_plain)

    def threefold(row: Any) -> None:
        row.feeAmount = round(row.feeAmount * 3, 2)
        for part in row.feeList:
            part.value = round(part.value * 3, 2)

    told.change("fees", order_key(order), threefold)
    return Expected("D07", account=order.account_id, days=sorted({fill.trade_date for fill in order.fills}))


@answers("word that no rule knows")
def _unknown_word(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice)
    told.change("fees", order_key(order), lambda row: setattr(row.feeList[0], "title", "Lunar Clearing Levy"))
    return Expected("A06", row="Lunar Clearing Levy", account=order.account_id)


@answers("fill that cannot be read")
def _unreadable(told: Answers, dice: Random, place: Place) -> Expected:
    """It stands in quarantine, and its order has a fill too few."""
    order = an_order(place, dice)
    fill = dice.choice(order.fills)
    told.change("deals", deal_key(order, fill), lambda row: setattr(row, "qty", 0))
    return of_order("B01", order, -fill.qty)


@answers("number that no rule knows")
def _unknown_number(told: Answers, dice: Random, place: Place) -> Expected:
    order = an_order(place, dice)
    told.change("orders", order_key(order), lambda row: setattr(row, "timeInForce", 77))
    return Expected("A06", row="timeInForce", account=order.account_id, days=[order.trade_date])
