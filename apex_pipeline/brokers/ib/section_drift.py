"""Words of the other sections of a statement that no rule knows: sections, elements, attributes and values. Pure."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from apex_pipeline.brokers.ib import section_words, vocabulary
from apex_pipeline.brokers.ib.attributes import codes_of
from apex_pipeline.brokers.ib.balances import BASE_SUMMARY
from apex_pipeline.brokers.ib.cash import CASH_TYPES
from apex_pipeline.brokers.ib.rows import section_of
from apex_pipeline.brokers.ib.sections import KNOWN_SECTIONS
from apex_pipeline.brokers.ib.times import BLANKS
from apex_pipeline.brokers.ib.told import DATES_MARK, FROM, QUERY, ROWS, SECTION, TAG, TO
from apex_pipeline.domain.records import Record

Word = tuple[str, str]
"""A field and the value in it."""

UNKNOWN_FIELDS = "_unknown"
"""The field of a word that is itself the name of a new attribute; its values would be a word for every row."""

LONGEST_VALUE = 120
_OURS = frozenset({DATES_MARK, FROM, TO, SECTION, TAG})
_KNOWN = {tag: names | _OURS for tag, names in section_words.ATTRIBUTES.items()}
_CASH_ROW = "CashTransaction"

Check = Callable[[str], Iterable[str]]
"""What of an attribute's text is unknown."""


def section_words_of(record: Record) -> Iterator[Word]:
    """The unknown words of a record of another section; those of a snapshot's rows one after the other."""
    section = section_of(record)
    if section == QUERY:
        return
    if section not in KNOWN_SECTIONS:
        yield SECTION, section[:LONGEST_VALUE]
        return
    rows: Iterable[Mapping[str, Any]] = record.payload.get(ROWS, (record.payload,))
    for row in rows:
        tag = row.get(TAG) or _CASH_ROW
        if tag not in section_words.TAGS.get(section, (tag,)) and tag not in section_words.PARTS:
            yield TAG, tag[:LONGEST_VALUE]
        yield from _words(tag, row)


def _words(tag: str, row: Mapping[str, Any]) -> Iterator[Word]:
    known = _KNOWN.get(tag)
    if known is None:
        return
    if not known.issuperset(row):
        for name in row.keys() - known:
            yield UNKNOWN_FIELDS, name[:LONGEST_VALUE]
    yield from _of_values(tag, tuple(map(row.get, _checks(tag))))


@lru_cache(maxsize=4096)
def _of_values(tag: str, told: tuple[str | None, ...]) -> tuple[Word, ...]:
    """The unknown values of a row; rows share few combinations of them."""
    found: list[Word] = []
    for (name, unknown_in), value in zip(_checks(tag).items(), told, strict=True):
        text = (value or "").strip()
        if text not in BLANKS:
            found.extend((name, word[:LONGEST_VALUE]) for word in unknown_in(text))
    return tuple(found)


@lru_cache(maxsize=256)
def _checks(tag: str) -> dict[str, Check]:
    return {**_SHARED, **_OWN.get(tag, {})}


def _outside(known: Collection[str]) -> Check:
    return lambda text: () if text in known else (text,)


def _outside_in_capitals(known: Collection[str]) -> Check:
    return lambda text: () if text.upper() in known else (text,)


def _unknown_codes(text: str) -> Iterable[str]:
    return sorted(codes_of(text) - vocabulary.NOTES)


def _unknown_booking(text: str) -> Iterable[str]:
    return () if " ".join(text.lower().split()) in CASH_TYPES else (text,)


_CURRENCY = _outside(vocabulary.CURRENCIES | {BASE_SUMMARY})
_SHARED: dict[str, Check] = {
    "assetCategory": _outside(vocabulary.ASSET_CATEGORIES),
    "currency": _CURRENCY,
    "putCall": _outside(vocabulary.RIGHTS),
    "levelOfDetail": _outside_in_capitals(section_words.LEVELS),
    "code": _unknown_codes,
}
_OWN: dict[str, dict[str, Check]] = {
    "CashTransaction": {"type": _unknown_booking},
    "CorporateAction": {"type": _outside(section_words.CORPORATE_ACTIONS)},
    "Transfer": {
        "type": _outside(section_words.TRANSFER_TYPES),
        "direction": _outside_in_capitals(section_words.DIRECTIONS),
    },
    "OptionEAE": {"transactionType": _outside(section_words.OPTION_EVENTS)},
    "OpenPosition": {"side": _outside_in_capitals(section_words.HOLDINGS)},
    "Lot": {"notes": _unknown_codes, "buySell": _outside_in_capitals(vocabulary.SIDES)},
    "ConversionRate": {"fromCurrency": _CURRENCY, "toCurrency": _CURRENCY},
}
