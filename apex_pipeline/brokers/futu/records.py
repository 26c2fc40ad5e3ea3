"""Rows of an answer become records: their key, their order and their exchange date. Pure.

A row that cannot be placed (no id, no date) becomes a reject with its reason; the others are kept.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.brokers.futu import market_time
from apex_pipeline.domain.records import Record, RecordKind, Reject
from apex_pipeline.errors import UnknownPayload

Row = dict[str, Any]


@dataclass(slots=True)
class Reading:
    """The records of some answers: one per key, the newest; what could not be read; and notes for a person.

    `told` counts the rows of a single answer.
    """

    records: dict[str, Record] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    told: int = 0

    def merge(self, other: "Reading") -> None:
        """Add a later answer."""
        for record in other.records.values():
            self.keep(record)
        self.notes += other.notes
        self.rejects += [reject for reject in other.rejects if reject not in self.rejects]

    def keep(self, record: Record) -> None:
        """Take the record unless an update of it is already here."""
        known = self.records.get(record.key)
        if known is None or _version(record) >= _version(known):
            self.records[record.key] = record


def orders(account_id: str, rows: Iterable[Row]) -> Reading:
    """Order rows, placed by the exchange date of their creation."""

    def place(row: Row) -> Record:
        key = _text(row, "orderIDEx") or _whole(row, "orderID")
        if not key:
            raise UnknownPayload("no_order_id", "an order without orderIDEx and orderID")
        created_on = market_time.exchange_date(row, "create")
        return Record(RecordKind.ORDERS, account_id, key, created_on, row, order_id=key)

    return _read(RecordKind.ORDERS, account_id, rows, place, "orderIDEx")


def deals(account_id: str, rows: Iterable[Row], extended_ids: Mapping[str, str]) -> Reading:
    """Deal rows, placed by the exchange date of their execution.

    `extended_ids`: orderIDEx of orders by their orderID, for deals that name only the latter.
    """

    def place(row: Row) -> Record:
        key = _whole(row, "fillID")
        if not key:
            raise UnknownPayload("no_deal_id", "a deal without fillID")
        number = _whole(row, "orderID")
        order_id = _text(row, "orderIDEx") or (extended_ids.get(number, number) if number else None)
        executed_on = market_time.exchange_date(row, "create")
        return Record(RecordKind.TRADES, account_id, key, executed_on, row, order_id=order_id)

    return _read(RecordKind.TRADES, account_id, rows, place, "fillID")


def fees(account_id: str, rows: Iterable[Row], order_dates: Mapping[str, date], otherwise: date) -> Reading:
    """Fee rows, placed by the date of their order; `otherwise` where that order is not known."""

    def place(row: Row) -> Record:
        key = _text(row, "orderIDEx")
        if not key:
            raise UnknownPayload("no_order_id", "a fee without orderIDEx")
        return Record(RecordKind.FEES, account_id, key, order_dates.get(key, otherwise), row, order_id=key)

    return _read(RecordKind.FEES, account_id, rows, place, "orderIDEx")


def snapshot(
    kind: RecordKind, account_id: str, rows: Iterable[Row], day: date, as_of: datetime, *, market: int = 0
) -> Record:
    """All rows of a state of an account as one record, so that what is gone is gone; a repeated row counts once.

    `market`: the TrdMarket that was asked, which decides the currency of totals that do not name one.
    """
    once = {_content(row): row for row in rows}
    payload = {"rows": [*once.values()], "trdMarket": market}
    return Record(kind, account_id, day.isoformat(), day, payload, generated_at=as_of)


def cash(account_id: str, rows: Sequence[Row], asked: date) -> Reading:
    """Bookings of one clearing date. Futu's ids of them are small and may repeat, so they count within their date.

    A booking without an id is numbered among those of its date, in an order that does not depend on the answer's.
    """
    reading = Reading()
    named = {_content(row): row for row in rows if _whole(row, "cashFlowID")}
    unnamed = sorted((row for row in rows if not _whole(row, "cashFlowID")), key=_content)
    told = [(_whole(row, "cashFlowID"), row) for _, row in sorted(named.items())]
    told += [(f"#{number}", row) for number, row in enumerate(unnamed, start=1)]
    for number, row in told:
        day = _clearing_date(row, asked)
        key = f"{day}:{number}"
        if key in reading.records:
            key = f"{key}#{sum(known.startswith(key) for known in reading.records) + 1}"
            reading.notes.append(f"account {account_id} has several bookings {number} on {day}: all were kept")
        reading.records[key] = Record(RecordKind.CASH, account_id, key, day, row)
        if day != asked:
            reading.notes.append(f"account {account_id}: asked for the bookings of {asked}, Futu told some of {day}")
    if unnamed:
        reading.notes.append(f"account {account_id} has {len(unnamed)} bookings without an id on {asked}: numbered")
    return reading


def newest_instant(reading: Sequence[Record]) -> datetime | None:
    """When the newest of these orders or deals was created; None without one."""
    latest = max((record.business_date for record in reading), default=date.max)
    # the zones of two exchanges are less than two dates apart
    lately = (record for record in reading if (latest - record.business_date).days <= 1)
    return max((market_time.instant(record.payload, "create") for record in lately), default=None)


def _read(
    kind: RecordKind, account_id: str, rows: Iterable[Row], place: Callable[[Row], Record], id_field: str
) -> Reading:
    reading = Reading()
    for row in rows:
        reading.told += 1
        try:
            reading.keep(place(row))
        except UnknownPayload as error:
            key = str(row.get(id_field) or "") or None
            reading.rejects.append(Reject(kind, account_id, key, None, error.reason_code, str(error), row))
    return reading


def _clearing_date(row: Row, asked: date) -> date:
    try:
        return date.fromisoformat(_text(row, "clearingDate")[:10])
    except ValueError:
        return asked


def _content(row: Row) -> str:
    return json.dumps(row, sort_keys=True, default=str)


def _version(record: Record) -> Decimal:
    stamp = record.payload.get("updateTimestamp")
    return stamp if isinstance(stamp, Decimal) and stamp.is_finite() else Decimal(0)


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _whole(row: Row, name: str) -> str:
    """A 64-bit id as decimal text; 0 is how the wire says that there is none."""
    value = str(row.get(name, ""))
    return value if value.isascii() and value.isdigit() and int(value) else ""
