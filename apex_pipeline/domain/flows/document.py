"""The file of `apex classify` for a flow: orders, fills, positions and spots as plain JSON values.

Futu tells times in the zone of the market, Interactive Brokers in UTC, both with milliseconds.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from typing import Any

from apex_pipeline.domain.flows.market import STOCK, UNDERLYINGS, ZONES, Contract, Market, seeded
from apex_pipeline.domain.flows.sending import Ticket

_STOCKS = {stock.code: stock for stock in UNDERLYINGS}


@dataclass(frozen=True, slots=True)
class Placed:
    """An order under the id that its broker gave it."""

    order_id: str
    broker: str
    account: str
    ticket: Ticket
    combo_id: str | None

    @property
    def trade_date(self) -> date:
        return self.ticket.sent_at.astimezone(ZONES[self.ticket.contract.market]).date()

    def told(self, at: datetime) -> str:
        """An instant as the broker writes it."""
        zone = ZONES[self.ticket.contract.market] if self.broker == "FUTU" else UTC
        return at.astimezone(zone).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class _Piece:
    order: Placed
    at: datetime
    qty: int
    price: Decimal


def document(
    placed: Sequence[Placed], held: Mapping[tuple[str, Contract], int], market: Market, seed: int
) -> dict[str, Any]:
    """The file: orders by time, fills by time, opening positions sorted, one spot per underlying and day."""
    pieces = list(_pieces(seeded(seed, "fills"), placed, market))
    prices = _average_prices(pieces)
    days = sorted({(item.trade_date, item.ticket.contract.underlying) for item in placed})
    positions = sorted(held.items(), key=lambda item: (item[0][0], *map(str, item[0][1])))
    return {
        "positions_open": [_position(account, contract, qty) for (account, contract), qty in positions],
        "spots": [
            {"date": day.isoformat(), "underlying": code, "spot": round(market.spot(_STOCKS[code], day), 3)}
            for day, code in days
        ],
        "orders": [_order(item, prices.get(item.order_id)) for item in placed],
        "fills": _fills(pieces, seeded(seed, "fill ids")),
    }


def _pieces(rng: Random, placed: Iterable[Placed], market: Market) -> Iterable[_Piece]:
    for item in placed:
        stock = _STOCKS[item.ticket.contract.underlying]
        for at, qty in item.ticket.pieces:
            price = market.price(stock, item.ticket.contract, item.trade_date, rng.gauss(0, 0.02))
            yield _Piece(item, at, abs(qty), price)


def _average_prices(pieces: Iterable[_Piece]) -> dict[str, Decimal]:
    money: defaultdict[str, Decimal] = defaultdict(Decimal)
    amount: defaultdict[str, int] = defaultdict(int)
    for piece in pieces:
        money[piece.order.order_id] += piece.price * piece.qty
        amount[piece.order.order_id] += piece.qty
    return {key: (value / amount[key]).quantize(Decimal("0.000001")) for key, value in money.items()}


def _terms(contract: Contract) -> dict[str, Any]:
    if contract.strike is None or contract.expiry is None:
        return {"underlying": contract.underlying, "type": contract.kind}
    return {
        "underlying": contract.underlying,
        "type": contract.kind,
        "strike": _number(contract.strike),
        "expiry": contract.expiry.isoformat(),
    }


def _position(account: str, contract: Contract, qty: int) -> dict[str, Any]:
    return {"account": account, **_terms(contract), "qty": qty}


def _order(item: Placed, price: Decimal | None) -> dict[str, Any]:
    ticket = item.ticket
    told: dict[str, Any] = {
        "order_id": item.order_id,
        "broker": item.broker,
        "account": item.account,
        "market": ticket.contract.market,
        **_terms(ticket.contract),
        "side": "BUY" if ticket.qty > 0 else "SELL",
        "qty": abs(ticket.qty),
        "filled_qty": abs(ticket.filled),
        "avg_price": None if price is None else _number(price),
        "lot": 1 if ticket.contract.kind == STOCK and item.broker == "IB" else ticket.contract.lot,
        "order_time": item.told(ticket.sent_at),
        "first_fill": item.told(ticket.pieces[0][0]) if ticket.pieces else None,
    }
    return told if item.combo_id is None else {**told, "combo_id": item.combo_id}


def _fills(pieces: Iterable[_Piece], rng: Random) -> list[dict[str, Any]]:
    number = 90_000_000
    told: list[dict[str, Any]] = []
    for piece in sorted(pieces, key=lambda piece: (piece.at, piece.order.order_id)):
        number += rng.randint(1, 9)
        told.append({
            "fill_id": f"{piece.order.broker[0]}{number}",
            "order_id": piece.order.order_id,
            "time": piece.order.told(piece.at),
            "qty": piece.qty,
            "price": _number(piece.price),
        })  # fmt: skip
    return told


def _number(value: Decimal) -> int | float:
    """A plain JSON number; here at the file's edge alone a price may be a float, read back from its shortest text."""
    return int(value) if value == int(value) else float(value)
