"""A finished flow written as the input of `apex classify`, beside its truth."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.faults.strategy_flow_market import ZONES, Market, Paper
from tests.faults.strategy_flow_orders import Order, Sent

ACCOUNTS = {"281756479811239": "FUTU", "281756479811240": "FUTU", "U7310246": "IB"}
Json = dict[str, Any]


@dataclass
class Flow:
    """A finished flow: groups in the order of their first order, the shares held before, and the market."""

    market: Market
    groups: list[Sent]
    shares: dict[tuple[str, str], int]


def _instant(broker: str, when: datetime, zone: str) -> str:
    """ISO 8601 with the market's zone; IB in whole seconds, Futu in milliseconds."""
    local = when.astimezone(ZONES[zone])
    return local.isoformat(timespec="milliseconds" if broker == "FUTU" else "seconds")


def _terms(paper: Paper) -> Json:
    if paper.kind == "stock":
        return {"underlying": paper.underlying, "type": "stock"}
    strike, expiry = paper.terms
    return {"underlying": paper.underlying, "type": paper.kind, "strike": float(strike), "expiry": expiry.isoformat()}


def _order(flow: Flow, sent: Sent, order: Order, combo: str) -> Json:
    one, broker = flow.market.underlyings[sent.move.underlying], ACCOUNTS[sent.move.account]
    shares_lot = 1 if broker == "IB" and order.wish.paper.kind == "stock" else one.lot
    row: Json = {"order_id": order.key, "broker": broker, "account": sent.move.account, "market": one.market}
    row |= _terms(order.wish.paper)
    row |= {
        "side": "BUY" if order.wish.qty > 0 else "SELL",
        "qty": order.qty,
        "filled_qty": order.filled,
        "avg_price": float(order.average),
        "lot": shares_lot,
        "order_time": _instant(broker, order.sent, one.market),
        "first_fill": _instant(broker, order.fills[0][0], one.market),
    }
    return row | ({"combo_id": combo} if sent.linked else {})


def _truth(place: int, sent: Sent) -> Json:
    move = sent.move
    return {
        "group": f"G{place:05}",
        "orders": [one.key for one in sent.orders],
        "type": move.type,
        "action": move.action,
        "sub_type": move.sub_type,
        "resulting_type": move.resulting,
        "tags": sorted(sent.tags),
        "rivals": [{"type": name, "action": action} for name, action in move.rivals],
    }


def file_of(flow: Flow, cold: int = 0, *, blind: bool = False) -> Json:
    """The flow as the file of `apex classify` beside its truth; the first `cold` groups are withheld."""
    orders = sorted(
        (
            (order.sent, place, number)
            for place, sent in enumerate(flow.groups)
            for number, order in enumerate(sent.orders)
        )
    )
    for number, (_, place, which) in enumerate(orders):
        broker = ACCOUNTS[flow.groups[place].move.account]
        flow.groups[place].orders[which].key = f"{broker[0]}{860000000 + 17 * number}"
    rows: list[Json] = []
    fills: list[Json] = []
    for _, place, which in orders:
        if place < cold:
            continue
        sent = flow.groups[place]
        order, market = sent.orders[which], flow.market.underlyings[sent.move.underlying].market
        rows.append(_order(flow, sent, order, f"CMB{place:05}"))
        broker = ACCOUNTS[sent.move.account]
        for number, (when, qty, price) in enumerate(order.fills):
            told = _instant(broker, when, market)
            key = f"{order.key}.{number + 1}"
            fills.append({"fill_id": key, "order_id": order.key, "time": told, "qty": qty, "price": float(price)})
    return {
        "input": {
            "positions_open": [] if blind else _positions(flow, cold),
            "spots": _spots(flow),
            "orders": rows,
            "fills": fills,
        },
        "truth": [_truth(place, sent) for place, sent in enumerate(flow.groups) if place >= cold],
    }


def _positions(flow: Flow, cold: int) -> list[Json]:
    """What was held before the first order that is told, by contract."""
    held: dict[tuple[str, Paper], int] = {}
    for (account, name), qty in flow.shares.items():
        held[account, Paper(name, "stock")] = qty
    for sent in flow.groups[:cold]:
        for order in sent.orders:
            key, signed = (sent.move.account, order.wish.paper), order.filled if order.wish.qty > 0 else -order.filled
            held[key] = held.get(key, 0) + signed
    first = flow.groups[min(cold, len(flow.groups) - 1)].started.date()
    return [
        {"account": account, **_terms(paper), "qty": qty}
        for (account, paper), qty in held.items()
        if qty and (paper.expiry is None or paper.expiry >= first)
    ]


def _spots(flow: Flow) -> list[Json]:
    """One spot a trading day and underlying: the price at the opening, known before any order of the day."""
    days = sorted({(sent.started.date(), sent.move.underlying) for sent in flow.groups})
    found: list[Json] = []
    for day, name in days:
        local = datetime(day.year, day.month, day.day, 9, 30, tzinfo=ZONES[flow.market.underlyings[name].market])
        found.append({"date": day.isoformat(), "underlying": name, "spot": float(flow.market.spot(name, local))})
    return found
