"""What the two hostile brokers know, and the rows that must come of it, written down by hand.

Days are counted back from a Friday that is always at least five days past, so that nothing depends on the
hour at which the tests run, nor on weekends.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tests.cli.flex import moment
from tests.cli.opend import UTC8, ZONES, Login, Row

TODAY = datetime.now(ZoneInfo("Asia/Hong_Kong")).date()
FRIDAY = TODAY - timedelta(days=5 + (TODAY.isoweekday() - 5 - 5) % 7)
FIRST = FRIDAY - timedelta(days=39)
"""A Monday: the range of the tests is FIRST to FRIDAY, forty days."""

BIG, OLD, PAPER = 1001, 7, 345
IB, IB_OTHER = "U7654321", "DU55"
FILL = 4_611_873_000_000_000_117
FLEX_TOKEN, FLEX_QUERY = "733122049981376504812345", "884422"


@dataclass(frozen=True)
class Expected:
    """Rows by their uid, with the columns that matter as text."""

    orders: dict[str, dict[str, Any]]
    trades: dict[str, dict[str, Any]]
    fees: dict[tuple[str, str], tuple[Decimal, str, date]]
    """(order_uid, name at the broker): amount, currency, day charged."""


def back(days: int) -> date:
    """A day before the newest one."""
    return FRIDAY - timedelta(days=days)


def at(market: str, day: date, clock: str) -> datetime:
    """The instant of a wall clock of the market."""
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZONES[market]).astimezone(UTC)


def login() -> Login:
    """Two real accounts and a paper one; one of them says nothing but its number."""
    known = Login(
        accounts=[
            {"trdEnv": 1, "accID": BIG, "trdMarketAuthList": [1, 2], "accType": 2, "securityFirm": 1, "accStatus": 0},
            {"trdEnv": 1, "accID": OLD},
            {"trdEnv": 0, "accID": PAPER, "trdMarketAuthList": [2]},
        ]
    )
    for account, market, day, clock, number, code, fields in _ORDERS:
        known.orders.setdefault(account, []).append(_order(market, day, clock, number, code, fields))
    for account, market, day, clock, number, order, code, side, qty, price in _DEALS:
        deal = _deal(market, day, clock, (number, order, code, side, qty, price), extended=account == BIG)
        known.deals.setdefault(account, []).append(deal)
    for account, order_id, total, parts in _FEES:
        known.fees.setdefault(account, {})[order_id] = (total, parts)
    return known


_OPTION_DAY = (FRIDAY + timedelta(days=70)).strftime("%y%m%d")
_OPTION_EXPIRY = FRIDAY + timedelta(days=70)
FILLED, CANCELLED, PART, LIVE = 11, 15, 14, 5
BUY, SELL, SHORT = 1, 2, 3

_ORDERS: list[tuple[int, str, date, str, int, str, dict[str, Any]]] = [
    (BIG, "US", back(39), "09:35:07", 10001, "BRK.B",
     {"trdSide": BUY, "orderStatus": FILLED, "qty": 10.0, "price": 512.4, "fillQty": 10.0, "fillAvgPrice": 512.33}),
    (BIG, "US", back(11), "15:59:59", 10002, f"AAPL{_OPTION_DAY}C150000",
     {"trdSide": SHORT, "orderStatus": FILLED, "qty": 2.0, "price": 3.15, "fillQty": 2.0, "fillAvgPrice": 3.15}),
    (BIG, "US", back(11), "10:00:00", 10003, "TSLA",
     {"trdSide": BUY, "orderStatus": CANCELLED, "qty": 1.0, "price": 0.1}),
    (BIG, "HK", back(9), "09:30:00", 10004, "00700",
     {"trdSide": BUY, "orderStatus": FILLED, "qty": 200.0, "price": 398.6, "fillQty": 200.0, "fillAvgPrice": 398.6}),
    (BIG, "US", back(0), "19:55:00", 10005, "F",
     {"trdSide": SELL, "orderStatus": PART, "qty": 100.0, "price": 11.33, "fillQty": 30.0, "fillAvgPrice": 11.335}),
    (BIG, "US", back(4), "09:30:01", 10006, "NVDA",
     {"trdSide": BUY, "orderType": 2, "orderStatus": FILLED, "qty": 1.0, "fillQty": 1.0, "fillAvgPrice": 188.0125}),
    (BIG, "US", back(2), "12:00:00", 10007, "AAPL",
     {"trdSide": BUY, "orderStatus": FILLED, "qty": 0.5, "price": 271.3, "fillQty": 0.5, "fillAvgPrice": 271.29}),
    (OLD, "HK", back(20), "15:59:58", 10001, "09988",
     {"trdSide": SELL, "orderStatus": FILLED, "qty": 100.0, "price": 101.1, "fillQty": 100.0, "fillAvgPrice": 101.1}),
    (PAPER, "US", back(3), "12:00:00", 1, "AAPL", {"trdSide": BUY, "orderStatus": LIVE, "qty": 1.0, "price": 1.0}),
]  # fmt: skip

_DEALS: list[tuple[int, str, date, str, int, int, str, int, float, float]] = [
    (BIG, "US", back(39), "09:35:08", FILL, 10001, "BRK.B", BUY, 4.0, 512.3),
    (BIG, "US", back(39), "09:35:08", FILL + 1, 10001, "BRK.B", BUY, 6.0, 512.35),
    (BIG, "US", back(11), "15:59:59", FILL + 2, 10002, f"AAPL{_OPTION_DAY}C150000", SHORT, 2.0, 3.15),
    (BIG, "HK", back(9), "09:30:00", FILL + 3, 10004, "00700", BUY, 200.0, 398.6),
    (BIG, "US", back(0), "19:55:01", FILL + 4, 10005, "F", SELL, 30.0, 11.335),
    (BIG, "US", back(4), "09:30:01", FILL + 5, 10006, "NVDA", BUY, 1.0, 188.0125),
    (BIG, "US", back(2), "12:00:00", FILL + 6, 10007, "AAPL", BUY, 0.5, 271.29),
    (OLD, "HK", back(20), "15:59:58", 12, 10001, "09988", SELL, 100.0, 101.1),
]

_FEES: list[tuple[int, str, float | None, list[tuple[str, float]]]] = [
    (BIG, "10001", 1.99, [("Commission", 0.99), ("Platform Fee", 1.0)]),
    (BIG, "10002", 2.78, [("Commission", 1.3), ("ORF", 0.02), ("OCC Fee", 0.04), ("Settlement Fee", 0.36),
                          ("Moon Tax", 0.01), ("Platform Fee", 1.0)]),
    (BIG, "10004", 129.48, [("Stamp Duty", 80.0), ("Commission", 23.92), ("Platform Fee", 15.0),
                            ("Trading Fee", 4.5), ("Settlement Fee", 3.91), ("Transaction Levy", 2.15)]),
    (BIG, "10006", 0.0, []),
    (BIG, "10007", None, []),
    (OLD, "10001", 20.11, [("佣金", 3.03), ("印花税", 11.0)]),
]  # fmt: skip


def futu_expected() -> Expected:
    """The rows of both real accounts."""
    big, old = f"FUTU_{BIG}_", f"FUTU_{OLD}_"
    option = f"US.AAPL {_OPTION_EXPIRY} C 150"
    orders = {
        big + "10001": _norm("US.BRK.B", "BUY", "FILLED", 10, 10, "512.4", "512.33", "USD", back(39)),
        big + "10002": _norm(option, "SELL", "FILLED", 2, 2, "3.15", "3.15", "USD", back(11)),
        big + "10003": _norm("US.TSLA", "BUY", "CANCELLED", 1, None, "0.1", None, "USD", back(11)),
        big + "10004": _norm("HK.00700", "BUY", "FILLED", 200, 200, "398.6", "398.6", "HKD", back(9)),
        big + "10005": _norm("US.F", "SELL", "PARTIAL_CANCELLED", 100, 30, "11.33", "11.335", "USD", back(0)),
        big + "10006": _norm("US.NVDA", "BUY", "FILLED", 1, 1, None, "188.0125", "USD", back(4)),
        big + "10007": _norm("US.AAPL", "BUY", "FILLED", "0.5", "0.5", "271.3", "271.29", "USD", back(2)),
        old + "10001": _norm("HK.09988", "SELL", "FILLED", 100, 100, "101.1", "101.1", "HKD", back(20)),
    }
    trades = {
        f"FUTU_{account}_{number}": _fill(
            f"FUTU_{account}_{order}", orders[f"FUTU_{account}_{order}"], qty, price, (market, day, clock), code
        )
        for account, market, day, clock, number, order, code, _, qty, price in _DEALS
    }
    fees = {
        (f"FUTU_{account}_{order}", title): (
            Decimal(str(value)), orders[f"FUTU_{account}_{order}"]["currency"],
            orders[f"FUTU_{account}_{order}"]["trade_date"],
        )
        for account, order, total, parts in _FEES
        for title, value in _whole(total, parts)
    }  # fmt: skip
    return Expected(orders, trades, fees)


def _whole(total: float | None, parts: list[tuple[str, float]]) -> list[tuple[str, float | Decimal]]:
    if total is None:
        return []
    rest = Decimal(str(total)) - sum((Decimal(str(value)) for _, value in parts), Decimal(0))
    return [*parts, *([("unallocated", rest)] if rest or not parts else [])]


def _norm(
    symbol: str, side: str, status: str, qty: Any, filled: Any, limit: Any, average: Any, currency: str, day: date
) -> dict[str, Any]:
    return {
        "symbol": symbol, "side": side, "status": status, "qty": _d(qty), "filled_qty": _d(filled),
        "limit_price": _d(limit), "avg_price": _d(average), "currency": currency, "trade_date": day,
    }  # fmt: skip


def _fill(
    order_uid: str, order: dict[str, Any], qty: Any, price: Any, when: tuple[str, date, str], code: str
) -> dict[str, Any]:
    size = 100 if code.startswith("AAPL") and len(code) > 4 else 1
    return {
        "order_uid": order_uid, "kind": "TRADE", "symbol": order["symbol"], "side": order["side"], "qty": _d(qty),
        "price": _d(price), "amount": _d(qty) * _d(price) * size, "currency": order["currency"],
        "executed_at": at(*when), "trade_date": when[1],
    }  # fmt: skip


def _d(value: Any) -> Any:
    return None if value is None else Decimal(str(value))


def _order(market: str, day: date, clock: str, number: int, code: str, fields: dict[str, Any]) -> Row:
    text = f"{day} {clock}"
    own = {
        "orderType": 1, "orderID": number, "orderIDEx": str(number), "code": code, "name": "", "createTime": text,
        "updateTime": text, "secMarket": {"HK": 1, "US": 2}[market],
    }  # fmt: skip
    return Row(market, at(market, day, clock), {**own, **fields})


def _deal(market: str, day: date, clock: str, told: tuple[int, int, str, int, float, float], *, extended: bool) -> Row:
    number, order, code, side, qty, price = told
    named: dict[str, Any] = {"orderIDEx": str(order)} if extended else {"orderID": order}
    own = {
        "trdSide": side, "fillID": number, "fillIDEx": "", "code": code, "name": "", "qty": qty, "price": price,
        "createTime": f"{day} {clock}", "secMarket": {"HK": 1, "US": 2}[market],
    }  # fmt: skip
    return Row(market, at(market, day, clock), {**own, **named})


def _execution(day: date, clock: str, number: int, symbol: str, **more: str) -> dict[str, str]:
    own = {
        "accountId": IB, "currency": "USD", "fxRateToBase": "1", "assetCategory": "STK", "symbol": symbol,
        "conid": str(1000 + len(symbol)), "listingExchange": "NYSE", "multiplier": "1", "tradeID": str(number + 500),
        "transactionID": str(number), "ibOrderID": str(number // 10), "ibExecID": f"0000e0d5.{number}.01.01",
        "dateTime": moment(day, clock), "tradeDate": str(day), "reportDate": str(day), "transactionType": "ExchTrade",
        "exchange": "ISLAND", "taxes": "0", "ibCommissionCurrency": "USD", "notes": "", "levelOfDetail": "EXECUTION",
        "openCloseIndicator": "O", "orderType": "LMT", "shoeSize": "43",
    }  # fmt: skip
    return {**own, **more}


def flex_rows() -> dict[str, list[dict[str, str]]]:
    """Account to Trade attributes: shares, two fills of one order, an expiry, a conversion, a cancelled fill."""
    expired = (back(4) + timedelta(days=0)).strftime("%y%m%d")
    return {
        IB: [
            _execution(back(39), "09:31:00", 70010, "BRK B", buySell="BUY", quantity="3", tradePrice="412.05",
                       ibCommission="-1.0025"),
            _execution(back(11), "15:00:00", 70020, "SPY", buySell="SELL", quantity="-5", tradePrice="671.11",
                       ibCommission="-0.5"),
            _execution(back(11), "15:00:01", 70021, "SPY", buySell="SELL", quantity="-7", tradePrice="671.105",
                       ibCommission="0.07"),
            _execution(back(4), "16:20:00", 70030, f"SPY   {expired}P00600000", assetCategory="OPT", multiplier="100",
                       strike="600", putCall="P", expiry=str(back(4)), underlyingSymbol="SPY", buySell="BUY",
                       quantity="2", tradePrice="0", ibCommission="0", transactionType="BookTrade", notes="Ep",
                       ibOrderID="", ibExecID="", exchange="--", orderType="", openCloseIndicator="C",
                       reportDate=str(back(3))),
            _execution(back(2), "17:20:00", 70040, "EUR.USD", assetCategory="CASH", listingExchange="", buySell="BUY",
                       quantity="1000", tradePrice="1.0832", ibCommission="-2", openCloseIndicator="",
                       tradeDate=str(back(1)), reportDate=str(back(1)), exchange="IDEALFX"),
            _execution(back(1), "10:00:00", 70050, "TSLA", buySell="BUY", quantity="4", tradePrice="400.5",
                       ibCommission="-1"),
            _execution(back(1), "10:05:00", 70060, "TSLA", buySell="BUY (Ca.)", quantity="-4", tradePrice="400.5",
                       ibCommission="0", transactionType="TradeCancel", notes="Ca", ibOrderID="7005", ibExecID="",
                       tradeID="", origTransactionID="70050", origTradeID="70550"),
        ],
        IB_OTHER: [
            _execution(back(10), "21:30:00", 70070, "700", accountId=IB_OTHER, currency="HKD", listingExchange="SEHK",
                       exchange="SEHK", buySell="BUY", quantity="100", tradePrice="398.2", ibCommission="-18",
                       ibCommissionCurrency="HKD", taxes="-40.5"),
        ],
    }  # fmt: skip


def ib_expected() -> Expected:
    """The rows of both accounts: a cancelled order has no filled quantity, its fee stays."""
    spy = f"US.SPY {back(4)} P 600"
    orders = {
        f"IB_{IB}_7001": _norm("US.BRK.B", "BUY", "FILLED", 3, 3, None, "412.05", "USD", back(39)),
        f"IB_{IB}_7002": _norm("US.SPY", "SELL", "FILLED", 12, 12, None, "671.107083333333", "USD", back(11)),
        f"IB_{IB}_7004": _norm("FX.EUR.USD", "BUY", "FILLED", 1000, 1000, None, "1.0832", "USD", back(1)),
        f"IB_{IB}_7005": _norm("US.TSLA", "BUY", "CANCELLED", 0, 0, None, None, "USD", back(1)),
        f"IB_{IB_OTHER}_7007": _norm("HK.00700", "BUY", "FILLED", 100, 100, None, "398.2", "HKD", back(10)),
    }
    trades = {
        f"IB_{IB}_0000e0d5.70010.01.01": _ib(f"IB_{IB}_7001", orders, 3, "412.05", (back(39), "09:31:00")),
        f"IB_{IB}_0000e0d5.70020.01.01": _ib(f"IB_{IB}_7002", orders, 5, "671.11", (back(11), "15:00:00")),
        f"IB_{IB}_0000e0d5.70021.01.01": _ib(f"IB_{IB}_7002", orders, 7, "671.105", (back(11), "15:00:01")),
        f"IB_{IB}_T70030": {
            **_ib(None, orders, 2, 0, (back(4), "16:20:00")), "symbol": spy, "side": "BUY", "kind": "EXPIRATION",
            "currency": "USD",
        },
        f"IB_{IB}_0000e0d5.70040.01.01": {
            **_ib(f"IB_{IB}_7004", orders, 1000, "1.0832", (back(2), "17:20:00")), "trade_date": back(1),
        },
        f"IB_{IB}_0000e0d5.70050.01.01": _ib(f"IB_{IB}_7005", orders, 4, "400.5", (back(1), "10:00:00")),
        f"IB_{IB}_T70060": {
            **_ib(f"IB_{IB}_7005", orders, 4, "400.5", (back(1), "10:05:00")), "kind": "CANCEL", "side": "SELL",
        },
        f"IB_{IB_OTHER}_0000e0d5.70070.01.01": _ib(
            f"IB_{IB_OTHER}_7007", orders, 100, "398.2", (back(10), "21:30:00")
        ),
    }  # fmt: skip
    fees = {
        (f"IB_{IB}_0000e0d5.70010.01.01", "ibCommission"): (Decimal("1.0025"), "USD", back(39)),
        (f"IB_{IB}_0000e0d5.70020.01.01", "ibCommission"): (Decimal("0.5"), "USD", back(11)),
        (f"IB_{IB}_0000e0d5.70021.01.01", "ibCommission"): (Decimal("-0.07"), "USD", back(11)),
        (f"IB_{IB}_0000e0d5.70040.01.01", "ibCommission"): (Decimal(2), "USD", back(1)),
        (f"IB_{IB}_0000e0d5.70050.01.01", "ibCommission"): (Decimal(1), "USD", back(1)),
        (f"IB_{IB_OTHER}_0000e0d5.70070.01.01", "ibCommission"): (Decimal(18), "HKD", back(10)),
        (f"IB_{IB_OTHER}_7007", "taxes"): (Decimal("40.5"), "HKD", back(10)),
    }
    return Expected(orders, trades, fees)


def _ib(
    order_uid: str | None, orders: dict[str, dict[str, Any]], qty: Any, price: Any, when: tuple[date, str]
) -> dict[str, Any]:
    order = orders.get(order_uid or "", {})
    return {
        "order_uid": order_uid, "kind": "TRADE", "symbol": order.get("symbol"), "side": order.get("side"),
        "qty": _d(qty), "price": _d(price), "amount": _d(qty) * _d(price), "currency": order.get("currency"),
        "executed_at": at("US", *when), "trade_date": when[0],
    }  # fmt: skip


def utc8_day(moment_: datetime) -> date:
    """The calendar day of an instant in UTC+8."""
    return moment_.astimezone(UTC8).date()
