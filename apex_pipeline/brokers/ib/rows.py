"""Records of other sections, row by row: a record is one row, or a snapshot that holds many.

One unreadable row becomes a reject and never takes the other rows of its snapshot with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.section_words import TAGS
from apex_pipeline.brokers.ib.told import DATES_MARK, FROM, ROWS, SECTION, TAG, TO
from apex_pipeline.domain.records import Record, RecordKind, Reject
from apex_pipeline.errors import UnknownPayload

_SECTIONS = {
    RecordKind.CASH: "CashTransactions",
    RecordKind.POSITIONS: "OpenPositions",
    RecordKind.BALANCES: "CashReport",
}
"""The section of records of a kind that has only one."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a section. `number` counts the rows of a snapshot from 1; None for a record that is one row."""

    told: Attributes
    number: int | None = None

    @property
    def record(self) -> Record:
        """The record; of a snapshot's row, one that holds this row alone."""
        return self.told.record

    @property
    def section(self) -> str:
        """The name of the section, as sent."""
        return section_of(self.record)

    @property
    def tag(self) -> str:
        """The name of the element, as sent."""
        return str(self.told.payload.get(TAG) or "")

    @property
    def uid(self) -> str:
        """`IB_{account}_{key}`: of the row, or of the snapshot that it stands in."""
        return f"IB_{self.record.account_id}_{self.record.key}"

    @property
    def days(self) -> tuple[date | None, date]:
        """First and last day that the row sums up; the first is None for a row of one moment."""
        first, last = self.told.payload.get(FROM), self.told.payload.get(TO)
        return (
            date.fromisoformat(first) if first else None,
            date.fromisoformat(last) if last else self.record.business_date,
        )


def section_of(record: Record) -> str:
    """The name of the record's section, as sent."""
    return str(record.payload.get(SECTION) or _SECTIONS.get(record.kind, ""))


def rows_of(record: Record) -> Iterator[Row]:
    """The rows of a record, in the order in which they were sent."""
    if ROWS not in record.payload:
        yield Row(Attributes(record))
        return
    shared = {name: record.payload[name] for name in (SECTION, FROM, TO, DATES_MARK) if name in record.payload}
    for number, row in enumerate(record.payload[ROWS], start=1):
        yield Row(Attributes(replace(record, payload={**row, **shared})), number)


def read_each(record: Record, read: Callable[[Row], None], rejects: list[Reject]) -> None:
    """Give every row of a record to `read`; what raises UnknownPayload is added to `rejects`.

    An element that is no row of its section is left out: its record is kept, and drift tells of it. So is a row of
    check data that lacks a field which the person's query does not have: no row can be right there, and the gap is
    told once. A booking of cash is a fact, and refused.
    """
    for row in rows_of(record):
        if row.tag and row.tag not in TAGS.get(row.section, (row.tag,)):
            continue
        try:
            read(row)
        except UnknownPayload as error:
            if record.kind is RecordKind.CASH or not _lacks_field(row, error):
                rejects.append(reject_of_row(row, error))


def _lacks_field(row: Row, error: UnknownPayload) -> bool:
    """Whether the row cannot be read because its query does not deliver a field, not because the field is empty."""
    _, missing, name = error.reason_code.partition("missing_")
    return bool(missing) and name not in row.told.payload


def reject_of_row(row: Row, error: UnknownPayload) -> Reject:
    """The row as a reject, under a key of its own where it is one of several."""
    reject = reject_of(row.record, error)
    return reject if row.number is None else replace(reject, key=f"{reject.key}#{row.number}")


def reject_of(record: Record, error: UnknownPayload) -> Reject:
    """The record as a reject, with the reason why it cannot be read."""
    kind, account, key, day = record.kind, record.account_id, record.key, record.business_date
    return Reject(kind, account, key, day, error.reason_code, str(error), record.payload)
