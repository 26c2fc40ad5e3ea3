"""Orders as the SDK lists them (`order_list_query`, `history_order_list_query`), back in OpenD's own words. Pure.

The SDK's table lacks the UTC epochs of an order and its 64-bit number: instants are read from the wall clock of its
market, and in the hour that a clock change repeats the first of the two is taken.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from apex_pipeline.brokers.futu import records, vocabulary
from apex_pipeline.domain.money import decimal_of_double
from apex_pipeline.domain.records import Record
from apex_pipeline.errors import UnknownPayload

_NOTHING = frozenset({"N/A", "NONE"})


def _numbers(names: Mapping[int, str]) -> dict[str, int]:
    """The number of each name, the lowest where several have it."""
    return {name: number for number, name in sorted(names.items(), reverse=True)}


_SIDES = {"BUY": 1, "SELL": 2, "SELL_SHORT": 3, "BUY_BACK": 4}
_WORDS: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "order_market": ("trdMarket", _numbers(vocabulary.TRD_MARKETS)),
    "trd_side": ("trdSide", _SIDES),
    "order_type": ("orderType", _numbers(vocabulary.ORDER_TYPES)),
    "order_status": ("orderStatus", {name: number for number, (name, _) in vocabulary.ORDER_STATES.items()}),
    "time_in_force": ("timeInForce", {"DAY": 0, "GTC": 1, "IOC": 2, "GTD": 3}),
    "session": ("session", {"RTH": 1, "ETH": 2, "ALL": 3, "OVERNIGHT": 4}),
    "trail_type": ("trailType", {"RATIO": 1, "AMOUNT": 2}),
    "currency": ("currency", _numbers(vocabulary.CURRENCIES)),
    "strategy_type": ("strategyType", _numbers(vocabulary.STRATEGIES)),
}
"""Columns of words: the field of OpenD, and the number of each word."""

_PLAIN = {
    "order_id": "orderIDEx", "stock_name": "name", "qty": "qty", "price": "price", "create_time": "createTime",
    "updated_time": "updateTime", "dealt_qty": "fillQty", "dealt_avg_price": "fillAvgPrice",
    "last_err_msg": "lastErrMsg", "remark": "remark", "fill_outside_rth": "fillOutsideRTH", "aux_price": "auxPrice",
    "trail_value": "trailValue", "trail_spread": "trailSpread", "expire_time": "expireTime", "amount": "orderAmount",
}  # fmt: skip
_SEC_MARKETS = _numbers(vocabulary.PREFIX_OF_SEC_MARKET)
_QUOTE_MARKETS = _numbers(vocabulary.PREFIX_OF_QUOTE_MARKET)


def order_record(row: Mapping[str, Any], account_id: str, market: str | None = None) -> Record:
    """The record of an order; `market` (US, HK, …): where the row does not name its own.

    A row in OpenD's own words is taken as it is. Raises UnknownPayload for a row without id or time of creation.
    """
    payload = _own_words(row) if "orderIDEx" in row or "orderID" in row else _order(row, market)
    reading = records.orders(str(account_id), [payload])
    for reject in reading.rejects:
        raise UnknownPayload(reject.reason_code, f"an order of the SDK: {reject.reason}")
    return next(iter(reading.records.values()))


def newer(stored: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """A stored payload with what the SDK tells of the same order; what only the stored one has is kept.

    An empty value tells nothing; the epoch of an update that was told since is dropped, because it is of the last one.
    """
    news = {name: value for name, value in told.items() if name in stored or value not in (None, "", 0, False, [])}
    payload = {**stored, **news}
    if payload.get("updateTime") != stored.get("updateTime"):
        payload.pop("updateTimestamp", None)
    return payload


def _order(row: Mapping[str, Any], market: str | None) -> dict[str, Any]:
    told = {name: value for name, value in ((name, _plain(row[name])) for name in row) if value is not None}
    payload: dict[str, Any] = {field: told[name] for name, field in _PLAIN.items() if name in told}
    if "order_id" in told:
        payload["orderIDEx"] = str(told["order_id"])
    for name, (field, numbers) in _WORDS.items():
        word = str(told.get(name, market or "" if name == "order_market" else "")).upper()
        if word in numbers:
            payload[field] = numbers[word]
    prefix, _, code = str(told.get("code", "")).partition(".")
    payload["code"] = code or prefix
    if code and prefix in _SEC_MARKETS:
        payload["secMarket"] = _SEC_MARKETS[prefix]
    legs: Iterable[Any] = row.get("combo_legs") or ()
    made = [_leg(leg) for leg in legs] if not isinstance(legs, (str, float)) else []
    return {**payload, "comboLegs": made} if made else payload


def _leg(leg: Any) -> dict[str, Any]:
    """A leg of a combination: the SDK's object, or a mapping with its attributes."""
    told: Mapping[str, Any] = leg if isinstance(leg, Mapping) else vars(leg)
    prefix, _, code = str(told.get("code", "")).partition(".")
    security = {"market": _QUOTE_MARKETS.get(prefix, 0), "code": code}
    made = {
        "security": security,
        "side": _SIDES.get(str(told.get("trd_side"))),
        "qtyRatio": _plain(told.get("qty_ratio")),
        "positionID": _text(_plain(told.get("position_id"))),
    }
    return {name: value for name, value in made.items() if value is not None}


def _own_words(row: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: row[name] if isinstance(row[name], (list, dict)) else _plain(row[name]) for name in row}
    return {name: value for name, value in told.items() if value is not None}


def _plain(value: Any) -> Any:
    """A value without its table: numbers exact, None for what the SDK does not tell."""
    value = value.item() if hasattr(value, "item") else value  # a number of numpy
    if isinstance(value, str):
        return None if value.upper() in _NOTHING else value
    if isinstance(value, float):
        return None if value != value else decimal_of_double(value)  # noqa: PLR0124 - not a number
    return value if isinstance(value, (bool, int, Decimal)) else None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
