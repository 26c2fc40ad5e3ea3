"""Words of Interactive Brokers that no rule knows: new attributes, values of enumerations, codes, currencies. Pure.

An unknown word never stops a load. It is told here, once per account and day, so that a change of Flex is noticed
by its first new word and not by its first wrong sum.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date
from functools import lru_cache

from apex_pipeline.brokers.ib import vocabulary
from apex_pipeline.brokers.ib.attributes import codes_of
from apex_pipeline.brokers.ib.section_drift import LONGEST_VALUE, UNKNOWN_FIELDS, Word, section_words_of
from apex_pipeline.brokers.ib.times import BLANKS
from apex_pipeline.brokers.ib.told import DATES_MARK
from apex_pipeline.domain.models import Broker, Drift
from apex_pipeline.domain.records import Record, RecordKind

Place = tuple[str, str, date]
"""Kind, account and day of a record."""

_ATTRIBUTES = vocabulary.ATTRIBUTES | {DATES_MARK}
_OF_ORDERS = frozenset({RecordKind.TRADES, RecordKind.ORDERS})
_OF_SECTIONS = frozenset({RecordKind.SECTIONS, RecordKind.CASH, RecordKind.POSITIONS, RecordKind.BALANCES})
_SOURCE = "_source"
"""Marks records of another interface, which has words of its own."""


def drifts(records: Iterable[Record]) -> list[Drift]:
    """What is unknown in these records, one row per account, day and word; the same records give the same rows.

    Fee records repeat attributes of their trades and tell nothing of their own; what another interface told has
    words of its own.
    """
    keys: dict[tuple[Place, Word], set[str]] = {}
    for record in records:
        for word in _words(record):
            place = record.kind.value, record.account_id, record.business_date
            keys.setdefault((place, word), set()).add(record.key)
    return [
        Drift(Broker.IB, *place, field, value, len(found), min(found))
        for (place, (field, value)), found in sorted(keys.items())
    ]


def _words(record: Record) -> Iterable[Word]:
    if record.kind in _OF_ORDERS:
        return _of_trade(record)
    if record.kind in _OF_SECTIONS and _SOURCE not in record.payload:
        return section_words_of(record)
    return ()


def _of_trade(record: Record) -> Iterable[Word]:
    payload = record.payload
    words = _of_values(tuple(map(payload.get, _READ_BY)))
    if _ATTRIBUTES.issuperset(payload):
        return words
    return *words, *((UNKNOWN_FIELDS, _shown(name)) for name in payload.keys() - _ATTRIBUTES)


@lru_cache(maxsize=4096)
def _of_values(told: tuple[str | None, ...]) -> tuple[Word, ...]:
    """The unknown words of a row's enumerated attributes; rows share few combinations of them."""
    found: list[Word] = []
    for (field, unknown_in), value in zip(_READ_BY.items(), told, strict=True):
        text = (value or "").strip()
        if text not in BLANKS:
            found.extend((field, _shown(word)) for word in unknown_in(text))
    return tuple(found)


def _outside(known: Collection[str]) -> Callable[[str], Iterator[str]]:
    return lambda text: iter(() if text in known else (text,))


def _outside_in_capitals(known: Collection[str]) -> Callable[[str], Iterator[str]]:
    return lambda text: iter(() if text.upper() in known else (text,))


def _unknown_effect(text: str) -> Iterator[str]:
    if not vocabulary.OPEN_CLOSE.issuperset(text.replace(",", ";").replace(" ", "").split(";")):
        yield text


def _unknown_codes(text: str) -> Iterator[str]:
    yield from sorted(codes_of(text) - vocabulary.NOTES)


_READ_BY: dict[str, Callable[[str], Iterator[str]]] = {
    "transactionType": _outside(vocabulary.TRANSACTION_TYPES),
    "assetCategory": _outside(vocabulary.ASSET_CATEGORIES),
    "levelOfDetail": _outside_in_capitals(vocabulary.TRADE_LEVELS),
    "buySell": _outside_in_capitals(vocabulary.SIDES),
    "putCall": _outside(vocabulary.RIGHTS),
    "openCloseIndicator": _unknown_effect,
    "notes": _unknown_codes,
    "currency": _outside(vocabulary.CURRENCIES),
    "ibCommissionCurrency": _outside(vocabulary.CURRENCIES),
}
"""Enumerated attributes, and what of their text is unknown."""


def _shown(word: str) -> str:
    return word[:LONGEST_VALUE]
