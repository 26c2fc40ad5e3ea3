"""A statement as records: which elements are facts, under which key and day they are kept.

EXECUTION rows of Trades are facts, ORDER rows are kept beside them, every other level and section stays in
the document. Payloads are the attributes as sent; `_dates` is added where the document's dates have slashes.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import sha256

from apex_pipeline.brokers.ib.flex import Element, Statement
from apex_pipeline.brokers.ib.times import BLANKS, UNDECIDED, date_of, instant_of
from apex_pipeline.domain.records import Record, RecordKind, Reject
from apex_pipeline.errors import UnknownPayload

DATES_MARK = "_dates"
"""Payload entry that says whether the day or the month comes first in this record's slashed dates."""

FEE_ATTRIBUTES = (
    "accountId", "transactionID", "tradeID", "ibExecID", "ibOrderID", "tradeDate", "dateTime", "reportDate",
    "transactionType", "notes", "currency", "ibCommission", "ibCommissionCurrency", "taxes", "symbol", "assetCategory",
)  # fmt: skip

_REVALUED = frozenset({
    "acctAlias", "model", "fxRateToBase", "closePrice", "mtmPnl", "fifoPnlRealized", "fxPnl", "cost", "reportDate",
    "capitalGainsPnl", "whenRealized", "whenReopened", "changeInPrice", "changeInQuantity", DATES_MARK,
})  # fmt: skip
"""Attributes that a later statement may show differently for the same execution."""

_EXECUTION = "EXECUTION"
_ORDER = "ORDER"


def text_of(attributes: Mapping[str, str], name: str) -> str | None:
    """The attribute's text without surrounding blanks; None where Flex writes no value."""
    value = attributes.get(name, "").strip()
    return None if value in BLANKS else value


def id_of(attributes: Mapping[str, str], name: str) -> str | None:
    """An identifier; Flex writes 0 for "none" as well."""
    value = text_of(attributes, name)
    return None if value is None or not value.strip("0") else value


@dataclass(slots=True)
class Collector:
    """Turns the elements of one document into records and rejects, and counts what it leaves in the document."""

    order: str = UNDECIDED
    records: list[Record] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    read: Counter[tuple[int, str]] = field(default_factory=Counter[tuple[int, str]])
    without_id: int = 0
    _seen: Counter[tuple[int, str]] = field(default_factory=Counter[tuple[int, str]])

    def add(self, element: Element) -> None:
        """Take one element; whatever is unreadable becomes a reject and blocks nothing."""
        kind = kind_of(element)
        if kind is None:
            return
        self.read[(element.statement.number, kind)] += 1
        try:
            self.records.extend(self._records(kind, element))
        except UnknownPayload as error:
            self.rejects.append(self._reject(kind, element, error))

    def _records(self, kind: RecordKind, element: Element) -> Iterator[Record]:
        attributes = element.attributes
        record = Record(
            kind=kind,
            account_id=_account(element),
            key=self._key(kind, element),
            business_date=_business_date(attributes, self.order),
            payload={**attributes, **self._mark(attributes)},
            order_id=id_of(attributes, "ibOrderID"),
            generated_at=generated_at(element.statement, self.order),
        )
        yield record
        if kind is RecordKind.TRADES and (text_of(attributes, "ibCommission") or text_of(attributes, "taxes")):
            yield _fee_record(record)

    def _key(self, kind: RecordKind, element: Element) -> str:
        name = "transactionID" if kind is RecordKind.TRADES else "ibOrderID"
        own = id_of(element.attributes, name)
        if own is not None:
            return own
        self.without_id += 1
        digest = content_hash(element)
        spot = (element.statement.number, f"{kind}{digest}")
        self._seen[spot] += 1
        return f"H{digest}-{self._seen[spot]}"

    def _mark(self, attributes: Mapping[str, str]) -> dict[str, str]:
        return {DATES_MARK: self.order} if self.order and any("/" in value for value in attributes.values()) else {}

    def _reject(self, kind: RecordKind, element: Element, error: UnknownPayload) -> Reject:
        attributes = element.attributes
        try:
            day = _business_date(attributes, self.order)
        except UnknownPayload:
            day = None
        key = id_of(attributes, "transactionID") or id_of(attributes, "ibOrderID")
        account = text_of(attributes, "accountId") or element.statement.account_id or None
        return Reject(kind, account, key, day, error.reason_code, str(error), dict(attributes))


def kind_of(element: Element) -> RecordKind | None:
    """The raw table of an element; None for check data, sections and everything else that is not loaded."""
    if element.section not in ("Trades", "Trade", "Orders", "Order"):
        return None
    level = (text_of(element.attributes, "levelOfDetail") or "").upper()
    if element.tag == "Trade" and level in ("", _EXECUTION):
        return RecordKind.TRADES
    if element.tag == "Order" or (element.tag == "Trade" and level == _ORDER):
        return RecordKind.ORDERS
    return None


def content_hash(element: Element) -> str:
    """16 hex digits of what identifies a row that has no id; later revaluations do not change it."""
    kept = {name: value.strip() for name, value in element.attributes.items() if name not in _REVALUED}
    kept = {name: value for name, value in kept.items() if value not in BLANKS}
    kept["accountId"] = kept.get("accountId", element.statement.account_id)
    return sha256(json.dumps([element.tag, sorted(kept.items())]).encode()).hexdigest()[:16]


def generated_at(statement: Statement, order: str) -> datetime | None:
    """When IB wrote this statement, UTC; None if absent or unreadable."""
    try:
        return instant_of(statement.attributes.get("whenGenerated"), order)
    except UnknownPayload:
        return None


def _account(element: Element) -> str:
    account = text_of(element.attributes, "accountId") or text_of(element.statement.attributes, "accountId")
    if account is None:
        raise UnknownPayload("missing_account", "neither the row nor its statement names an account")
    return account


def _business_date(attributes: Mapping[str, str], order: str) -> date:
    for name in ("tradeDate", "dateTime", "reportDate", "orderTime"):
        day = date_of(attributes.get(name), order)
        if day is not None:
            return day
    raise UnknownPayload("missing_date", "the row has no tradeDate, dateTime or reportDate: add tradeDate to the query")


def _fee_record(trade: Record) -> Record:
    wanted = (*FEE_ATTRIBUTES, DATES_MARK)
    return Record(
        kind=RecordKind.FEES,
        account_id=trade.account_id,
        key=trade.key,
        business_date=trade.business_date,
        payload={name: trade.payload[name] for name in wanted if name in trade.payload},
        order_id=trade.order_id,
        generated_at=trade.generated_at,
    )
