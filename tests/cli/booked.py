"""The rows that must come of a made-up book, and how the tables differ from them."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from tests.cli.book_contracts import Contract
from tests.cli.book_wire import Style
from tests.cli.books import (
    BACK,
    BUSTED,
    BUY,
    CANCELLED,
    FAILED,
    FILL_CANCELLED,
    FILLED,
    LIVE,
    PART,
    PART_CANCELLED,
    SHORT,
    Book,
    Booking,
    Fill,
    Holding,
    Made,
    exchange_date,
)  # fmt: skip
from tests.cli.opend import ZONES
from tests.cli.sql import rows

STATES = {
    LIVE: ("OPEN", "SUBMITTED"), PART: ("PARTIAL", "FILLED_PART"), FILLED: ("FILLED", "FILLED_ALL"),
    PART_CANCELLED: ("PARTIAL_CANCELLED", "CANCELLED_PART"), CANCELLED: ("CANCELLED", "CANCELLED_ALL"),
    FAILED: ("REJECTED", "FAILED"), FILL_CANCELLED: ("CANCELLED", "FILL_CANCELLED"),
}  # fmt: skip
KINDS = {1: "NORMAL", 2: "MARKET", 5: "ABSOLUTE_LIMIT"}
EFFECTS = {SHORT: "OPEN", BACK: "CLOSE"}
FEE_TYPES = {
    "Commission": "COMMISSION", "Platform Fee": "PLATFORM", "Settlement Fee": "SETTLEMENT", "SEC Fee": "REGULATORY",
    "Trading Activity Fee": "REGULATORY", "ORF": "REGULATORY", "OCC Fee": "CLEARING", "Stamp Duty": "STAMP_DUTY",
    "Trading Fee": "EXCHANGE", "Transaction Levy": "REGULATORY", "Trading Tariff": "EXCHANGE", "Moon Tax": "OTHER",
    "unallocated": "UNALLOCATED",
}  # fmt: skip

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What was asked for: which markets ("ALL", "US", "HK")."""

    book: Book
    style: Style
    market: str = "ALL"

    @cached_property
    def sized(self) -> set[str]:
        """Option classes of which some order or position tells the size; then it is that of all of them."""
        told = [one.contract for one in self.book.holdings]
        for order in self.book.orders:
            if self.has(order) and order.amount is not None:
                told += [leg.contract for leg in order.contract.legs] or [order.contract]
        return {contract.symbol.split(" ")[0] for contract in told}

    def size(self, contract: Contract, order: Made) -> Decimal | None:
        """Units per contract of the order's instrument or of one of its legs, where anything tells them."""
        known = contract.asset_class == "OPTION" and contract.symbol.split(" ")[0] in self.sized
        return Decimal(contract.size) if known or contract.plain or order.amount is not None else None

    def has(self, order: Made) -> bool:
        """Whether an order belongs to the asked market."""
        return self.market in ("ALL", order.contract.market)

    def asked(self, market: str, at: datetime) -> bool:
        """Whether an instant lies in the asked days."""
        return exchange_date(market, at) >= self.book.first

    def instant(self, market: str, at: datetime) -> datetime:
        """An instant as it can be known: without epochs the second of a repeated hour looks like the first."""
        if self.style.epochs:
            return at
        return at.astimezone(ZONES[market]).replace(fold=0).astimezone(UTC)


def differences(url: str, wanted: Wanted, most: int = 12) -> list[str]:
    """How orders, trades, fees and allocations differ from the book; empty when they are the same to the last digit.

    Rows of before the asked days need not be there, but where they are they must be right.
    """
    orders = [order for order in wanted.book.orders if wanted.has(order)]
    pairs = [(order, fill) for order in orders for fill in order.fills]
    needed = {
        _uid(order)
        for order in orders
        if wanted.asked(order.contract.market, order.created)
        or any(wanted.asked(order.contract.market, fill.at) for fill in order.fills)
    }
    # an order of before the asked days may be known by its deals only
    text = "SELECT * FROM orders_norm WHERE NOT (source = 'futu_deals' AND trade_date < %s)"
    held = {row["order_uid"]: row for row in rows(url, text, (wanted.book.first,))}
    traded = {row["trade_uid"]: row for row in rows(url, "SELECT * FROM trades_norm WHERE source = 'futu_deals'")}
    found = _compare("order", {_uid(order): order_row(order, wanted) for order in orders}, needed, held)
    found += _compare(
        "trade",
        {_trade_uid(order, fill): trade_row(order, fill, wanted) for order, fill in pairs},
        {_trade_uid(order, fill) for order, fill in pairs if wanted.asked(fill.contract.market, fill.at)},
        traded,
    )
    found += _fee_differences(url, orders, needed, wanted)
    found += _allocation_differences(url, orders, needed)
    return [*found[:most], *([f"... and {len(found) - most} more"] if len(found) > most else [])]


def order_row(order: Made, wanted: Wanted) -> dict[str, Any]:
    """The row of an order."""
    contract, market = order.contract, order.contract.market
    status, word = STATES[order.status]
    size = wanted.size(contract, order)
    return {
        "broker": "FUTU", "account_id": str(order.account), "broker_order_id": order.order_id, "market": market,
        "symbol": contract.symbol, "underlying": contract.underlying, "asset_class": contract.asset_class,
        "side": "BUY" if order.side in (BUY, BACK) else "SELL", "position_effect": EFFECTS.get(order.side),
        "order_type": KINDS[order.kind], "status": status, "broker_status": word, "qty": order.qty,
        "filled_qty": order.filled, "limit_price": order.price or None,
        "avg_price": order.average if order.filled else None, "currency": contract.currency, "multiplier": size,
        "created_at": wanted.instant(market, order.created), "updated_at": wanted.instant(market, order.updated),
        "trade_date": exchange_date(market, order.created), "combo_id": order.order_id if contract.legs else None,
        "legs": [
            {"symbol": leg.contract.symbol, "side": "BUY" if leg.side in (BUY, BACK) else "SELL", "ratio": leg.ratio}
            for leg in contract.legs
        ] or None,
        "declared_strategy": contract.strategy[1] or None, "source": "futu_orders",
    }  # fmt: skip


def trade_row(order: Made, fill: Fill, wanted: Wanted) -> dict[str, Any]:
    """The row of a deal."""
    contract, market = fill.contract, fill.contract.market
    size = wanted.size(contract, order)
    return {
        "order_uid": _uid(order), "broker": "FUTU", "account_id": str(order.account),
        "broker_trade_id": str(fill.number), "exec_id": f"{fill.at:%Y%m%d}_{fill.number}", "market": market,
        "symbol": contract.symbol, "underlying": contract.underlying, "asset_class": contract.asset_class,
        "kind": "CANCEL" if fill.status == BUSTED else "TRADE", "effective": fill.status != BUSTED,
        "side": "BUY" if fill.side in (BUY, BACK) else "SELL", "qty": fill.qty, "price": fill.price,
        "multiplier": size, "amount": fill.qty * fill.price * size if size else None, "currency": contract.currency,
        "executed_at": wanted.instant(market, fill.at), "trade_date": exchange_date(market, fill.at),
        "position_effect": EFFECTS.get(fill.side),
    }  # fmt: skip


def _fee_differences(url: str, orders: Iterable[Made], needed: set[str], wanted: Wanted) -> list[str]:
    found: dict[str, Counter[tuple[Any, ...]]] = {}
    columns = "order_uid, broker_fee_name, fee_type, amount, currency, charged_on, trade_uid"
    for row in rows(url, f"SELECT {columns} FROM fees_norm"):
        found.setdefault(row["order_uid"], Counter())[tuple(row.values())[1:]] += 1
    told: list[str] = []
    for order in orders:
        uid = _uid(order)
        have, should = found.pop(uid, Counter[tuple[Any, ...]]()), Counter(fee_rows(order, wanted))
        if uid not in needed:  # its deals need not be there, and the day charged is that of the newest
            have, should = _without_day(have), _without_day(should)
        if have != should and (have or uid in needed):
            told.append(f"fees of {uid}: {have - should} instead of {should - have}")
    return told + [f"fees of {uid}: nobody asked for them" for uid in found]


def _without_day(fees: Counter[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    return Counter({fee[:-2]: count for fee, count in fees.items()})


def fee_rows(order: Made, wanted: Wanted) -> list[tuple[Any, ...]]:
    """The parts of an order's fee and what they leave of its total."""
    total, parts = order.fee or (None, ())
    if total is None:
        return []
    rest = total - sum((value for _, value in parts), Decimal(0))
    market = order.contract.market
    days = [exchange_date(market, fill.at) for fill in order.fills if fill.status != BUSTED]
    day = max(days, default=exchange_date(market, order.created))
    named = [(title, wanted.style.title(title), value) for title, value in parts]
    named += [("unallocated", "unallocated", rest)] if rest or not parts else []
    return [(told, FEE_TYPES[title], value, order.contract.currency, day, None) for title, told, value in named]


def _allocation_differences(url: str, orders: Iterable[Made], needed: set[str]) -> list[str]:
    """Each fee of an order with a counted deal must be borne whole by the counted deals of that order, and by all."""
    text = """SELECT f.order_uid, f.fee_uid, f.amount, sum(a.amount) AS borne, array_agg(a.trade_uid) AS trades
        FROM fees_norm f LEFT JOIN fee_allocations a USING (fee_uid) GROUP BY 1, 2, 3"""
    held = rows(url, text)
    # a deal of before the asked days that was not told cannot bear anything
    told = {row["trade_uid"] for row in rows(url, "SELECT trade_uid FROM trades_norm")}
    bearers = {
        _uid(order): sorted(_trade_uid(order, fill) for fill in order.fills if fill.status != BUSTED)
        for order in orders
    }
    differing: list[str] = []
    for row in held:
        should = [trade for trade in bearers.get(row["order_uid"], []) if trade in told]
        have = sorted(trade for trade in row["trades"] if trade)
        if have != should or (should and row["borne"] != row["amount"]):
            differing.append(f"{row['fee_uid']} of {row['amount']}: {row['borne']} borne by {have}, not by {should}")
    stray = rows(url, "SELECT fee_uid FROM fee_allocations EXCEPT SELECT fee_uid FROM fees_norm")
    return differing + [f"allocation of no fee: {row['fee_uid']}" for row in stray]


def position_differences(url: str, wanted: Wanted, day: date) -> list[str]:
    """How the positions of a day differ from those of the book."""
    found = {
        f"{row['account_id']} {row['broker_position_id']}": row
        for row in rows(url, "SELECT * FROM broker_positions WHERE business_date = %s", (day,))
    }
    should = {f"{one.account} {one.number}": _position_row(one) for one in wanted.book.holdings}
    return _compare("position", should, set(should), found)


def _position_row(holding: Holding) -> dict[str, Any]:
    contract = holding.contract
    return {
        "symbol": contract.symbol, "underlying": contract.underlying, "asset_class": contract.asset_class,
        "qty": holding.qty, "average_cost": holding.cost, "mark_price": holding.price, "market_value": holding.value,
        "unrealized_pnl": holding.unrealized, "currency": contract.currency,
    }  # fmt: skip


def cash_differences(url: str, bookings: Iterable[Booking]) -> list[str]:
    """How the movements of cash differ from these bookings."""
    found = {row["cash_uid"]: row for row in rows(url, "SELECT * FROM cash_movements")}
    should = {f"FUTU_{one.account}_C{one.day}:{one.number}": _cash_row(one) for one in bookings}
    return _compare("booking", should, set(should), found)


def _cash_row(booking: Booking) -> dict[str, Any]:
    return {
        "account_id": str(booking.account), "kind": booking.kind, "broker_kind": booking.words,
        "amount": booking.amount, "currency": booking.currency, "booked_on": booking.day,
        "settle_date": booking.day, "description": booking.remark or None,
        "event_date": booking.day if booking.kind == "ASSIGNMENT" else None,
    }  # fmt: skip


def _compare(what: str, should: Mapping[str, Row], needed: set[str], found: Mapping[str, Row]) -> list[str]:
    told = [f"{what} {uid} is missing: {_short(should[uid])}" for uid in sorted(needed - found.keys())]
    told += [f"{what} {uid} should not be: {_short(found[uid])}" for uid in sorted(found.keys() - should.keys())]
    for uid in sorted(found.keys() & should.keys()):
        wrong = {name: (found[uid][name], value) for name, value in should[uid].items() if found[uid][name] != value}
        if wrong:
            told.append(f"{what} {uid}: {wrong}")
    return told


def _short(row: Row) -> str:
    return json.dumps(dict(row), default=str)[:300]


def _uid(order: Made) -> str:
    return f"FUTU_{order.account}_{order.order_id}"


def _trade_uid(order: Made, fill: Fill) -> str:
    return f"FUTU_{order.account}_{fill.number}"
