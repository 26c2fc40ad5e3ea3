"""The file of `apex classify`: orders and fills of any broker in, strategies out, without a database.

Times are ISO 8601 with a zone; `qty` of an opening position is signed; `lot` is units of the underlying per
option contract, and on stock rows may be 1. Prices, strikes and quantities may be numbers or text. Columns that
no strategy depends on are not looked at.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast
from zoneinfo import ZoneInfo

from apex_pipeline.domain.models import AssetClass, Broker, OptionRight, Side
from apex_pipeline.domain.strategies.classify import (
    CLASSIFIER_VERSION,
    Classified,
    StrategyAssignment,
    classify,
)
from apex_pipeline.domain.strategies.legs import ClassifiableOrder, Contract, PositionChange
from apex_pipeline.domain.strategies.replay import Spots
from apex_pipeline.domain.strategies.row_values import (
    choice_of,
    date_of,
    instant_of,
    number_of,
    required,
    text_of,
    unsigned_of,
)

_RIGHTS = {"call": OptionRight.CALL, "put": OptionRight.PUT}
_ZONES = {"US": ZoneInfo("America/New_York"), "HK": ZoneInfo("Asia/Hong_Kong")}
_USUAL_LOT = Decimal(100)
_BROKERS, _SIDES = tuple(Broker), tuple(Side)

Json = Mapping[str, Any]


class UnreadableFile(ValueError):
    """A row that cannot be read; the message names it."""


@dataclass(frozen=True, slots=True)
class _Fills:
    """What the fills of one order say beside its own row."""

    first: datetime
    qty: Decimal


def classify_file(content: Json) -> dict[str, Any]:
    """The predictions for a file's content; UnreadableFile names the first row that is wrong.

    A file with `positions_open`, an empty list included, tells all that was held before its first order;
    one without leaves it open.
    """
    orders, changes, spots = read(content)
    silent = content.get("positions_open") is None
    told = () if silent else {(order.broker, order.account_id) for order in orders}
    return predictions(classify(orders, changes, (), spots, told))


def read(content: Json) -> tuple[list[ClassifiableOrder], list[PositionChange], dict[str, Spots]]:
    """The orders, opening positions and prices of a file; UnreadableFile names the first row that is wrong."""
    if content.get("orders") is None:
        raise UnreadableFile("the file has no list of orders under 'orders'")
    rows = _rows(content, "orders")
    lots = _Lots(rows)
    fills = _fills(_rows(content, "fills")) if content.get("fills") else None
    orders = [_order(number, row, lots, fills) for number, row in enumerate(rows, 1)]
    twice = [uid for uid, count in Counter(order.order_uid for order in orders).items() if count > 1]
    if twice:
        raise UnreadableFile(f"order_id {min(twice)} stands in several orders")
    brokers = {order.account_id: order.broker for order in orders}
    positions = enumerate(_rows(content, "positions_open"), 1)
    return (
        orders,
        [_position(number, row, lots, brokers) for number, row in positions],
        _spots(_rows(content, "spots")),
    )


def predictions(classified: Classified) -> dict[str, Any]:
    """What is written; an order that serves two groups stands under the larger one, the other in `also_in`."""
    rows: defaultdict[str, list[StrategyAssignment]] = defaultdict(list)
    for row in classified.assignments:
        rows[row.order_uid].append(row)
    told: dict[str, Any] = {}
    for order_uid, parts in rows.items():
        first, *others = sorted(parts, key=lambda row: (-row.qty_in_strategy, row.strategy_uid))
        told[order_uid] = _answer(first)
        if others:
            told[order_uid]["also_in"] = [_answer(row) for row in others]
    return {"classifier_version": CLASSIFIER_VERSION, "predictions": told}


def _answer(row: StrategyAssignment) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "group": row.strategy_uid,
        "type": row.strategy_type,
        "action": row.action,
        "confidence": float(row.confidence),
        "alternatives": [{"type": item["type"], "confidence": float(item["confidence"])} for item in row.alternatives],
    }
    more = {"sub_type": row.sub_type, "resulting_type": row.resulting_type, "chain": row.chain_uid}
    return answer | {name: value for name, value in more.items() if value is not None}


def _rows(content: Json, name: str) -> Sequence[Json]:
    """A list of objects; absent and null are empty."""
    rows: object = content.get(name)
    if rows is None:
        return ()
    if not isinstance(rows, list):
        raise UnreadableFile(f"'{name}' is not a list")
    listed = cast("list[object]", rows)
    for number, row in enumerate(listed, 1):
        if not isinstance(row, Mapping):
            raise UnreadableFile(f"'{name}' {number} is not an object")
    return cast("list[Json]", rows)


def _order(number: int, row: Json, lots: "_Lots", fills: Mapping[str, _Fills] | None) -> ClassifiableOrder:
    try:
        uid = text_of(row, "order_id")
        contract = _contract(row, lots)
        own = None if fills is None else fills.get(uid)
        at = instant_of(row, "order_time") or instant_of(row, "first_fill") or (own and own.first)
        qty, filled = unsigned_of(row, "qty"), unsigned_of(row, "filled_qty")
        if filled is None:
            filled = own.qty if own else qty if fills is None else Decimal(0)
        required(filled if qty is None else qty, "qty")
        return ClassifiableOrder(
            order_uid=uid,
            broker=Broker(choice_of(row, "broker", _BROKERS, "IB")),
            account_id=text_of(row, "account"),
            symbol=contract.symbol,
            underlying=contract.underlying,
            asset_class=contract.asset_class,
            option_right=contract.option_right,
            strike=contract.strike,
            expiry=contract.expiry,
            multiplier=contract.multiplier,
            side=Side(choice_of(row, "side", _SIDES)),
            qty=qty,
            filled_qty=filled,
            at=at,
            trade_date=date.min if at is None else _day_of(at, row.get("market")),
            combo_id=None if row.get("combo_id") in (None, "") else text_of(row, "combo_id"),
            avg_price=number_of(row, "avg_price"),
        )
    except ValueError as error:
        raise UnreadableFile(f"order {number} ({row.get('order_id', 'without order_id')}): {error}") from error


def _position(number: int, row: Json, lots: "_Lots", brokers: Mapping[str, Broker]) -> PositionChange:
    try:
        account, qty = text_of(row, "account"), required(number_of(row, "qty"), "qty")
        return PositionChange(brokers.get(account, Broker.IB), account, _contract(row, lots), qty)
    except ValueError as error:
        raise UnreadableFile(f"opening position {number}: {error}") from error


def _contract(row: Json, lots: "_Lots") -> Contract:
    underlying, kind = text_of(row, "underlying"), _kind(row)
    if kind == "stock":
        return Contract(underlying, underlying, AssetClass.STOCK)
    if kind not in _RIGHTS:
        raise ValueError(f"type is stock, call or put, not {str(row.get('type'))[:40]!r}")
    strike, expiry = required(unsigned_of(row, "strike"), "strike"), date_of(row, "expiry")
    lot = lots.of(row)
    symbol = f"{underlying} {expiry} {kind[0].upper()} {strike.normalize():f} x{lot.normalize():f}"
    return Contract(symbol, underlying, AssetClass.OPTION, _RIGHTS[kind], strike, expiry, lot)


class _Lots:
    """Units of the underlying per contract; where a row is silent, what others of its contract or underlying say.

    Of several the most frequent counts, then the smallest: the order of rows must not matter.
    """

    def __init__(self, orders: Iterable[Json]) -> None:
        said: defaultdict[tuple[str, ...], Counter[Decimal]] = defaultdict(Counter)
        for row in orders:
            lot = _lot(row) if _kind(row) in _RIGHTS else None
            for key in (_contract_key(row), _contract_key(row)[:1]) if lot is not None else ():
                said[key][cast("Decimal", lot)] += 1
        self._said = {key: min(lots, key=lambda lot: (-lots[lot], lot)) for key, lots in said.items()}

    def of(self, row: Json) -> Decimal:
        """The lot of an option row; ValueError for one that is no positive number."""
        own = row.get("lot")
        if own is not None and (lot := unsigned_of(row, "lot")):
            return lot
        if own is not None:
            raise ValueError(f"lot is {own}, no number of units per contract")
        key = _contract_key(row)
        return self._said.get(key) or self._said.get(key[:1]) or _USUAL_LOT


def _lot(row: Json) -> Decimal | None:
    """A lot as far as it can be read; what cannot be is told when its own row is read."""
    try:
        return unsigned_of(row, "lot") or None
    except ValueError:
        return None


def _contract_key(row: Json) -> tuple[str, ...]:
    return str(row.get("underlying")), _kind(row), str(row.get("strike")), str(row.get("expiry"))[:10]


def _kind(row: Json) -> str:
    return str(row.get("type")).lower()


def _fills(rows: Iterable[Json]) -> dict[str, _Fills]:
    """By order the time of the first fill and the sum of all."""
    found: dict[str, _Fills] = {}
    for number, row in enumerate(rows, 1):
        try:
            uid, at = text_of(row, "order_id"), required(instant_of(row, "time"), "time")
            qty = required(unsigned_of(row, "qty"), "qty")
        except ValueError as error:
            raise UnreadableFile(f"fill {number} ({row.get('fill_id', 'without fill_id')}): {error}") from error
        known = found.get(uid)
        found[uid] = _Fills(at, qty) if known is None else _Fills(min(at, known.first), qty + known.qty)
    return found


def _spots(rows: Iterable[Json]) -> dict[str, Spots]:
    """Prices by underlying and day number."""
    found: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for number, row in enumerate(rows, 1):
        try:
            spot = required(unsigned_of(row, "spot"), "spot")
            found[text_of(row, "underlying")][date_of(row, "date").toordinal()] = float(spot)
        except ValueError as error:
            raise UnreadableFile(f"spot {number}: {error}") from error
    return dict(found)


def _day_of(at: datetime, market: object) -> date:
    return at.astimezone(_ZONES.get(str(market).upper(), UTC)).date()
