"""Scenario to protobuf rows: orders, deals and fees as OpenD words them.

Ids are pure functions of the scenario. Money becomes the nearest double here and nowhere earlier. Rows about
a whole account (account list, positions, funds, cash flow) are made in `simulator_accounts`.
"""

import hashlib
import string
from base64 import b32encode
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from apex_pipeline.brokers.futu.simulator_rules import Language
from apex_pipeline.brokers.futu.simulator_wire import protobuf
from apex_pipeline.brokers.scenario import Charge, Contract, Fill, Leg, ScenarioOrder
from apex_pipeline.domain.instruments import plain
from apex_pipeline.domain.models import AssetClass, FeeType, OrderStatus, Side

ZONES = {"US": ZoneInfo("America/New_York"), "HK": ZoneInfo("Asia/Hong_Kong")}
TRD_MARKETS = {"HK": 1, "US": 2}
CURRENCIES = {"HKD": 1, "USD": 2, "CNH": 3, "JPY": 4, "SGD": 5}
BUY, SELL, SELL_SHORT = 1, 2, 3
CUSTOM_STRATEGY = 100

ORDER_TYPES = {"LIMIT": 1, "MARKET": 2, "STOP": 10, "STOP_LIMIT": 11}
_PAPER_LIMIT = 5
ORDER_STATUSES = {
    OrderStatus.PENDING: 1,
    OrderStatus.OPEN: 5,
    OrderStatus.PARTIAL: 10,
    OrderStatus.FILLED: 11,
    OrderStatus.PARTIAL_CANCELLED: 14,
    OrderStatus.CANCELLED: 15,
    OrderStatus.REJECTED: 21,
    OrderStatus.EXPIRED: 22,
    OrderStatus.UNKNOWN: -1,
}
LIVE_STATUSES = frozenset({0, 1, 2, 5, 10, 12, 13})

_STRATEGIES = (
    ("RATIO", CUSTOM_STRATEGY), ("BACKSPREAD", CUSTOM_STRATEGY), ("IRON_BUTTERFLY", 13), ("IRON_CONDOR", 14),
    ("BUTTERFLY", 9), ("CONDOR", 11), ("CALENDAR", 15), ("DIAGONAL", 16), ("STRADDLE", 6), ("STRANGLE", 7),
    ("COLLAR", 8), ("COVERED", 2), ("SPREAD", 4),
)  # fmt: skip
"""Parts of taxonomy ids and Futu's strategy numbers; the first part that fits counts."""

_TITLES = {
    "Commission": ("Commission", "佣金"),
    "Platform Fee": ("Platform Fee", "平台使用费"),
    "Options Regulatory Fee": ("ORF", "期权监管费"),
    "OCC Fee": ("OCC Fee", "期权清算费"),
    "Settlement Fee": ("Settlement Fee", "交收费"),
    "SEC Fee": ("SEC Fee", "证监会规费"),
    "Trading Activity Fee": ("Trading Activity Fee", "交易活动费"),
    "Stamp Duty": ("Stamp Duty", "印花税"),
    "Trading Fee": ("Trading Fee", "交易费"),
    "SFC Levy": ("SFC Levy", "证监会征费"),
    "FRC Levy": ("FRC Levy", "财汇局征费"),
}
_TITLE_OF_TYPE = {
    FeeType.COMMISSION: "Commission",
    FeeType.PLATFORM: "Platform Fee",
    FeeType.EXCHANGE: "Trading Fee",
    FeeType.CLEARING: "OCC Fee",
    FeeType.REGULATORY: "SEC Fee",
    FeeType.SETTLEMENT: "Settlement Fee",
    FeeType.STAMP_DUTY: "Stamp Duty",
}
_OPTION_SETTLEMENT = ("Option Settlement Fees", "期权交收费")


def number64(*parts: object) -> int:
    """An unsigned 64-bit id made of these parts; about half of them exceed 63 bits."""
    return int.from_bytes(_digest(parts), "big") | 1 << 60


def order_id(order: ScenarioOrder) -> int:
    """The numeric order id, an unsigned 64-bit number."""
    return number64("order", order.account_id, order.number)


def order_id_ex(order: ScenarioOrder) -> str:
    """The order id that people and later requests use: 18 of A-Z and 0-9, the first a letter."""
    digest = _digest(("order_ex", order.account_id, order.number), 12)
    return string.ascii_uppercase[digest[0] % 26] + b32encode(digest[1:]).decode()[:17]


def _digest(parts: tuple[object, ...], size: int = 8) -> bytes:
    return hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=size).digest()


def wire_code(contract: Contract) -> str:
    """The code without market: `AAPL`, `00700`, `AAPL210402C132500` (strike x 1000, not padded)."""
    if contract.strike is None or contract.expiry is None or contract.right is None:
        return contract.code
    return f"{contract.root}{contract.expiry:%y%m%d}{contract.right.value}{int(contract.strike * 1000)}"


def combo_code(legs: tuple[Leg, ...]) -> str:
    """`PEP260918P120/261120P120`: the class once, then expiry, right and plain strike of each option.

    With shares the stock stands in front, `F/251212C12`; no real code of that kind is public.
    """
    options = [leg.contract for leg in legs if leg.contract.strike is not None]
    stocks = [leg.contract.code for leg in legs if leg.contract.strike is None]
    pieces = [f"{c.expiry:%y%m%d}{c.right}{plain(c.strike)}" for c in options if c.strike is not None]
    if stocks:
        return "/".join([*stocks, *pieces])
    return options[0].root + "/".join(pieces)


def order_code(order: ScenarioOrder) -> str:
    """The code of an order on the wire."""
    return combo_code(order.legs) if order.legs else wire_code(order.contract)


def side_number(market: str, side: Side, *, opening: bool) -> int:
    """Futu's number of a side; an opening sale in the US is told as SELL_SHORT."""
    if side == Side.BUY:
        return BUY
    return SELL_SHORT if opening and market == "US" else SELL


def strategy_number(strategy: str) -> int:
    """Futu's number of an option strategy; 100 where it has none of its own."""
    return next((number for part, number in _STRATEGIES if part in strategy), CUSTOM_STRATEGY)


def wall_clock(at: datetime, market: str, *, paper: bool) -> str:
    """The text of an instant in the market's zone, with milliseconds but for paper accounts."""
    local = (at + timedelta(microseconds=0 if paper else 500)).astimezone(ZONES[market])
    return local.isoformat(" ", "seconds" if paper else "milliseconds")[: 19 if paper else 23]


def epoch(at: datetime) -> float:
    """Seconds since 1970 in UTC."""
    return at.astimezone(UTC).timestamp()


def average_price(order: ScenarioOrder) -> Decimal:
    """The average price of what was filled, 0 without fills; of a combination the net price per share."""
    filled = order.filled_qty
    if not filled:
        return Decimal(0)
    money = sum((_signed_money(order, f) for f in order.fills), Decimal(0))
    return money / (filled * order.contract.multiplier)


def _signed_money(order: ScenarioOrder, fill: Fill) -> Decimal:
    money = fill.qty * fill.price * fill.contract.multiplier
    return money if fill.side == order.side else -money


def order_row(order: ScenarioOrder, *, paper: bool) -> Any:
    """The Order message of an order."""
    market = order.contract.market
    price = order.limit_price or Decimal(0)
    kind = ORDER_TYPES[order.order_type]
    row = protobuf("Trd_Common_pb2").Order(
        trdSide=side_number(market, order.side, opening=order.opening and not order.legs),
        orderType=_PAPER_LIMIT if paper and order.order_type == "LIMIT" else kind,
        orderStatus=ORDER_STATUSES[order.status],
        orderID=order_id(order),
        orderIDEx=order_id_ex(order),
        code=order_code(order),
        name=order.contract.name,
        qty=float(order.qty),
        price=float(price),
        createTime=wall_clock(order.created_at, market, paper=paper),
        updateTime=wall_clock(order.updated_at, market, paper=paper),
        fillQty=float(order.filled_qty),
        fillAvgPrice=float(average_price(order)),
        lastErrMsg="Insufficient buying power" if order.status == OrderStatus.REJECTED else "",
        secMarket=TRD_MARKETS[market],
        createTimestamp=epoch(order.created_at),
        updateTimestamp=epoch(order.updated_at),
        remark="",
        timeInForce=1 if order.time_in_force == "GTC" else 0,
        currency=CURRENCIES[order.contract.currency],
        trdMarket=TRD_MARKETS[market],
        orderAmount=float(order.qty * price * order.contract.multiplier),
    )
    if market == "US":
        row.fillOutsideRTH = False
        row.session = 1
    if order.legs:
        row.strategyType = strategy_number(order.strategy)
        row.comboLegs.extend(_leg_row(leg, opening=order.opening) for leg in order.legs)
    return row


def _leg_row(leg: Leg, *, opening: bool) -> Any:
    contract = leg.contract
    row = protobuf("Qot_Common_pb2").ComboLeg(
        side=side_number(contract.market, leg.side, opening=opening), qtyRatio=float(leg.ratio)
    )
    row.security.market = {"HK": 1, "US": 11}[contract.market]
    row.security.code = wire_code(contract)
    return row


def fill_row(order: ScenarioOrder, fill: Fill, name: str, number: int) -> Any:
    """The OrderFill message of one execution of the order with these ids (orderIDEx and orderID).

    A combination's tells the leg's code and the combination's order.
    """
    market = fill.contract.market
    row = protobuf("Trd_Common_pb2").OrderFill(
        trdSide=side_number(market, fill.side, opening=order.opening),
        fillID=fill.fill_id,
        fillIDEx=str(fill.fill_id),
        orderID=number,
        orderIDEx=name,
        code=wire_code(fill.contract),
        name=fill.contract.name,
        qty=float(fill.qty),
        price=float(fill.price),
        createTime=wall_clock(fill.at, market, paper=False),
        counterBrokerName="",
        secMarket=TRD_MARKETS[market],
        createTimestamp=epoch(fill.at),
        updateTimestamp=epoch(fill.at),
        status=0,
        trdMarket=TRD_MARKETS[market],
    )
    if market == "HK":
        row.counterBrokerID = fill.fill_id % 9000
    return row


def fee_row(order: ScenarioOrder, language: Language) -> Any:
    """The OrderFee message of a settled order: the exact total and its parts."""
    row = protobuf("Trd_Common_pb2").OrderFee(
        orderIDEx=order_id_ex(order), feeAmount=float(sum((c.amount for c in order.charges), Decimal(0)))
    )
    for charge in order.charges:
        row.feeList.add(title=fee_title(order, charge, language), value=float(charge.amount))
    return row


def pending_fee_row(order: ScenarioOrder) -> Any:
    """The OrderFee message of an order whose fees are not settled: no amount and no parts."""
    return protobuf("Trd_Common_pb2").OrderFee(orderIDEx=order_id_ex(order))


def fee_title(order: ScenarioOrder, charge: Charge, language: Language) -> str:
    """The name of a charge in the language of the gateway; an unknown one keeps its own."""
    hint = charge.title or _TITLE_OF_TYPE.get(charge.fee_type, "")
    titles = _TITLES.get(hint, (hint, hint))
    if hint == "Settlement Fee" and order.contract.asset_class == AssetClass.OPTION:
        titles = _OPTION_SETTLEMENT
    return titles[language == "zh"]
