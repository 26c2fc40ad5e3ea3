"""How OpenD tells a made-up book: the rows of its messages."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.cli import books
from tests.cli.book_contracts import QUOTE_MARKETS, SEC_MARKETS, Contract
from tests.cli.books import BUSTED, CHANGED, OK, Book, Booking, Fill, Holding, Made
from tests.cli.opend import ZONES, Login, Row

CHINESE = {
    "Commission": "佣金", "Platform Fee": "平台使用费", "Settlement Fee": "交收费", "SEC Fee": "证监会规费",
    "Trading Activity Fee": "交易活动费", "ORF": "期权监管费", "OCC Fee": "期权清算费", "Stamp Duty": "印花税",
    "Trading Fee": "交易费", "Transaction Levy": "交易征费", "Trading Tariff": "交易系统使用费", "Moon Tax": "月球税",
}  # fmt: skip
CURRENCY_NUMBERS = {"HKD": 1, "USD": 2}


@dataclass(frozen=True)
class Style:
    """What may differ between versions of OpenD. `epochs`: rows tell their times as epochs too."""

    epochs: bool = True
    chinese: bool = False

    def title(self, name: str) -> str:
        """A fee title in the language of this OpenD."""
        return CHINESE[name] if self.chinese else name


def login(book: Book, style: Style) -> Login:
    """Everything the book holds, as OpenD knows it; a paper account stands among the real ones."""
    known = Login(accounts=_accounts(), flows={})
    for account in books.MARKETS:
        known.orders[account], known.deals[account], known.fees[account] = [], [], {}
    for order in book.orders:
        known.orders[order.account].append(Row(order.contract.market, order.created, _order(order, style)))
        for fill in order.fills:
            known.deals[order.account] += _deals(order, fill, style)
        if order.fee is not None:
            total, parts = order.fee
            told = [(style.title(title), float(value)) for title, value in parts]
            known.fees[order.account][order.order_id] = (None if total is None else float(total), told)
    assert known.flows is not None
    for booking in book.bookings:
        known.flows.setdefault(booking.account, []).append(_flow(booking))
    for holding in book.holdings:
        known.positions.setdefault(holding.account, []).append(_position(holding))
    return known


def _accounts() -> list[dict[str, Any]]:
    own: dict[int, dict[str, Any]] = {
        books.UNIVERSAL: {"accType": 2, "securityFirm": 1, "accStatus": 0},
        books.DISABLED: {"accStatus": 1, "securityFirm": 1},
        books.HK_ONLY: {"accStatus": 0, "securityFirm": 1},
    }
    real = [
        {"trdEnv": 1, "accID": account, "trdMarketAuthList": list(markets), **own[account]}
        for account, markets in books.MARKETS.items()
    ]
    return [{"trdEnv": 0, "accID": 3450310, "trdMarketAuthList": [1]}, *real]


def _order(order: Made, style: Style) -> dict[str, Any]:
    legs = [
        {
            "security": {"market": QUOTE_MARKETS[leg.contract.market], "code": leg.contract.code},
            "side": leg.side,
            "qtyRatio": float(leg.ratio),
        }
        for leg in order.contract.legs
    ]
    return {
        **_placed(order.account, order.contract),
        **_times(order.contract.market, order.created, order.updated, style, updated_text=True),
        "trdSide": order.side,
        "orderType": order.kind,
        "orderStatus": order.status,
        "orderID": order.number,
        "orderIDEx": order.order_id,
        "name": f"Name of {order.contract.code}",
        "qty": float(order.qty),
        "price": float(order.price),
        "fillQty": float(order.filled),
        "fillAvgPrice": float(order.average),
        **({"orderAmount": float(order.amount)} if order.amount is not None else {}),
        **({"comboLegs": legs, "strategyType": order.contract.strategy[0]} if legs else {}),
        **({"currency": CURRENCY_NUMBERS[order.contract.currency]} if order.account != books.DISABLED else {}),
    }


def _deals(order: Made, fill: Fill, style: Style) -> list[Row]:
    """The rows of a deal: of a changed one also what it was, where epochs tell which of the two is newer."""
    row = {
        **_placed(order.account, fill.contract),
        **_times(fill.contract.market, fill.at, fill.at, style),
        "trdSide": fill.side,
        "fillID": fill.number,
        "fillIDEx": f"{fill.at:%Y%m%d}_{fill.number}",
        "orderID": order.number,
        "orderIDEx": order.order_id,
        "name": "",
        "qty": float(fill.qty),
        "price": float(fill.price),
        **({"status": fill.status} if fill.status in (BUSTED, CHANGED) else {}),
    }
    if fill.old_price is None or not style.epochs:
        return [Row(fill.contract.market, fill.at, row)]
    newer = {**row, "updateTimestamp": (fill.at + timedelta(seconds=9)).timestamp()}
    older = {**row, "status": OK, "price": float(fill.old_price)}
    return [Row(fill.contract.market, fill.at, told) for told in (newer, older)]


def _placed(account: int, contract: Contract) -> dict[str, Any]:
    """The code and its market, which rows of the disabled account tell as a trading market only."""
    market = "trdMarket" if account == books.DISABLED else "secMarket"
    return {"code": contract.code, market: SEC_MARKETS[contract.market]}


def _times(
    market: str, created: datetime, updated: datetime, style: Style, *, updated_text: bool = False
) -> dict[str, Any]:
    times: dict[str, Any] = {"createTime": _text(market, created)}
    if updated_text:
        times["updateTime"] = _text(market, updated)
    if style.epochs:
        times |= {"createTimestamp": created.timestamp(), "updateTimestamp": updated.timestamp()}
    return times


def _text(market: str, at: datetime) -> str:
    return at.astimezone(ZONES[market]).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _flow(booking: Booking) -> dict[str, Any]:
    money = {} if not booking.amount else {"cashFlowDirection": 1 if booking.amount > 0 else 2}
    return {
        "clearingDate": str(booking.day),
        "settlementDate": str(booking.day),
        "currency": CURRENCY_NUMBERS[booking.currency],
        "cashFlowType": booking.words,
        "cashFlowAmount": float(booking.amount),
        "cashFlowRemark": booking.remark,
        "cashFlowID": booking.number,
        **money,
    }


def _position(holding: Holding) -> dict[str, Any]:
    return {
        "positionID": holding.number,
        "positionSide": 1 if holding.qty < 0 else 0,
        "code": holding.contract.code,
        "name": f"Name of {holding.contract.code}",
        "qty": float(holding.qty),
        "canSellQty": float(abs(holding.qty)),
        "price": float(holding.price),
        "val": float(holding.value),
        "plVal": 0.0,
        "costPrice": 1.23,
        "averageCostPrice": float(holding.cost),
        "unrealizedPL": float(holding.unrealized),
        "secMarket": SEC_MARKETS[holding.contract.market],
        "currency": CURRENCY_NUMBERS[holding.contract.currency],
    }
