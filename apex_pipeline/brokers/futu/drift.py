"""Words of Futu that no rule knows: numbers of enumerations, fee titles, cash flow words, codes, new fields. Pure.

An unknown word never stops a load. It is told here, once per account and day, so that a new OpenD is noticed by
its first new word and not by its first wrong sum.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from apex_pipeline.brokers.futu import cash, codes, fees, vocabulary
from apex_pipeline.brokers.futu.flow_words import kind_of
from apex_pipeline.brokers.futu.orders import listing_of
from apex_pipeline.domain.models import Broker, Drift
from apex_pipeline.domain.records import Record, RecordKind
from apex_pipeline.errors import UnknownPayload

Row = Mapping[str, Any]
Word = tuple[str, str]
"""A field and the value in it."""

UNKNOWN_FIELDS = "_unknown"
"""Where the worker puts fields of a message that the protocol files do not name."""

_LONGEST_VALUE = 120
_CODED = frozenset({RecordKind.ORDERS, RecordKind.TRADES, RecordKind.POSITIONS})

_MARKETS: dict[str, Collection[Any]] = {
    "secMarket": {0, *vocabulary.PREFIX_OF_SEC_MARKET},
    "trdMarket": {0, *vocabulary.TRD_MARKETS},
}
_SIDES = {0, *vocabulary.SIDES}
_CURRENCIES = {0, *vocabulary.CURRENCIES}
_STRATEGIES = {0, *vocabulary.STRATEGIES}
_KNOWN: dict[RecordKind, dict[str, Collection[Any]]] = {
    RecordKind.ORDERS: {
        **_MARKETS,
        "trdSide": _SIDES,
        "orderType": {0, *vocabulary.ORDER_TYPES},
        "orderStatus": vocabulary.ORDER_STATES,
        "currency": _CURRENCIES,
        "strategyType": _STRATEGIES,
        "timeInForce": vocabulary.TIMES_IN_FORCE,
        "trailType": vocabulary.TRAIL_TYPES,
        "session": vocabulary.SESSIONS,
    },
    RecordKind.TRADES: {**_MARKETS, "trdSide": _SIDES, "status": vocabulary.DEAL_STATES},
    RecordKind.FEES: {},
    RecordKind.POSITIONS: {
        **_MARKETS,
        "positionSide": vocabulary.POSITION_SIDES,
        "positionType": vocabulary.POSITION_TYPES,
        "currency": _CURRENCIES,
        "strategyType": _STRATEGIES,
    },
    RecordKind.BALANCES: {"currency": _CURRENCIES},
    RecordKind.CASH: {"currency": _CURRENCIES, "cashFlowDirection": vocabulary.FLOW_DIRECTIONS},
}
_LEG: dict[str, Collection[Any]] = {"side": _SIDES}
_LEG_SECURITY: dict[str, Collection[Any]] = {"market": {0, *vocabulary.PREFIX_OF_QUOTE_MARKET}}


def drifts(records: Iterable[Record]) -> list[Drift]:
    """What is unknown in these records, one row per account, day and word; the same records give the same rows."""
    keys: dict[tuple[str, str, date, str, str], set[str]] = {}
    for record in records:
        for field, value in set(_words(record)):
            word = record.kind.value, record.account_id, record.business_date, field, value
            keys.setdefault(word, set()).add(record.key)
    return [
        Drift(Broker.FUTU, kind, account_id, day, field, value, len(found), min(found))
        for (kind, account_id, day, field, value), found in sorted(keys.items())
    ]


def _words(record: Record) -> Iterator[Word]:
    yield from _unknown_fields(record.payload, "")
    for row in _rows(record):
        yield from _unknown_numbers(row, _KNOWN[record.kind], "")
        yield from _TOLD_BY_KIND.get(record.kind, _nothing)(row)
        if record.kind in _CODED:
            yield from _unknown_code(row)


def _rows(record: Record) -> Sequence[Row]:
    if record.kind in (RecordKind.POSITIONS, RecordKind.BALANCES):
        rows: Any = record.payload.get("rows")
        return rows if isinstance(rows, list) else []
    return [record.payload]


def _nothing(_row: Row) -> Iterator[Word]:
    yield from ()


def _unknown_numbers(row: Row, known: Mapping[str, Collection[Any]], prefix: str) -> Iterator[Word]:
    for field, values in known.items():
        value = row.get(field)
        if value is not None and not _is_among(value, values):
            yield f"{prefix}{field}", _shown(value)


def _is_among(value: Any, values: Collection[Any]) -> bool:
    return isinstance(value, int | str) and value in values


def _unknown_fields(value: Any, path: str) -> Iterator[Word]:
    """Fields that the worker put aside, at any depth; `field` is where they stood, `value` their number or name."""
    if isinstance(value, list):
        for one in _as_list(value):
            yield from _unknown_fields(one, path)
    elif isinstance(value, dict):
        row: dict[str, Any] = value
        told = row.get(UNKNOWN_FIELDS)
        for one in told if isinstance(told, dict | list) else () if told is None else (told,):
            yield f"{path}{UNKNOWN_FIELDS}", _shown(one)
        for name, inner in row.items():
            if isinstance(inner, dict | list) and name != UNKNOWN_FIELDS:
                yield from _unknown_fields(inner, path if name == "rows" else f"{path}{name}.")


def _as_list(value: list[Any]) -> list[Any]:
    return value


def _unknown_code(row: Row) -> Iterator[Word]:
    try:
        listing = listing_of(row)
    except UnknownPayload:
        return  # it stands in quarantine
    if not codes.is_known(listing):
        yield "code", _shown(listing.futu_code)


def _of_order(row: Row) -> Iterator[Word]:
    for leg in row.get("comboLegs") or ():
        yield from _unknown_numbers(leg, _LEG, "comboLegs.")
        yield from _unknown_numbers(leg.get("security") or {}, _LEG_SECURITY, "comboLegs.security.")


def _of_fee(row: Row) -> Iterator[Word]:
    for item in row.get("feeList") or ():
        title = str(item.get("title") or "")
        if not fees.is_known(title):
            yield "feeList.title", _shown(title)


def _of_funds(row: Row) -> Iterator[Word]:
    for one in row.get("cashInfoList") or ():
        yield from _unknown_numbers(one, {"currency": _CURRENCIES}, "cashInfoList.")


def _of_cash(row: Row) -> Iterator[Word]:
    words, remark = str(row.get("cashFlowType") or ""), str(row.get("cashFlowRemark") or "")
    currency = vocabulary.CURRENCIES.get(row.get("currency", 0))
    unknown = kind_of(words, remark, about_option=cash.option_in(remark, currency) is not None).unknown
    if unknown is not None:
        yield ("cashFlowType" if unknown in " ".join(words.split()) else "cashFlowRemark"), unknown


_TOLD_BY_KIND: dict[RecordKind, Callable[[Row], Iterator[Word]]] = {
    RecordKind.ORDERS: _of_order,
    RecordKind.FEES: _of_fee,
    RecordKind.BALANCES: _of_funds,
    RecordKind.CASH: _of_cash,
}


def _shown(value: Any) -> str:
    return str(value)[:_LONGEST_VALUE]
