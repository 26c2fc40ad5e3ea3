"""Records that hold a whole snapshot of an account: when it was taken, and its rows read one by one. Pure.

One unreadable row must neither hide the others nor disappear: a snapshot gives what could be read and one reject
for all that could not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from apex_pipeline.domain.records import Record, Reject
from apex_pipeline.errors import UnknownPayload

Row = Mapping[str, Any]
_Made = TypeVar("_Made")


@dataclass(slots=True)
class Snapshot(Generic[_Made]):
    """What was made of the rows of one record; `reject` is about those that could not be read."""

    made: list[_Made] = field(default_factory=list[_Made])
    reject: Reject | None = None


def rows_of(record: Record) -> list[dict[str, Any]]:
    """The rows of a snapshot as the wire told them; raises UnknownPayload where it holds no list of them."""
    rows: Any = record.payload.get("rows")
    if not isinstance(rows, list):
        raise UnknownPayload("missing_field", "the snapshot has no rows")
    return rows


def taken_at(record: Record) -> datetime:
    """The instant a snapshot was received; raises UnknownPayload("bad_time") where the record does not tell it."""
    if record.generated_at is None:
        raise UnknownPayload("bad_time", "the snapshot does not tell when it was taken")
    return record.generated_at


def read_each(record: Record, read: Callable[[Row, datetime], _Made]) -> Snapshot[_Made]:
    """Every row of a snapshot made with `read(row, taken_at)`."""
    snapshot: Snapshot[_Made] = Snapshot()
    problems: list[tuple[UnknownPayload, Any]] = []
    try:
        at, rows = taken_at(record), rows_of(record)
    except UnknownPayload as error:
        snapshot.reject = _reject(record, [(error, record.payload)])
        return snapshot
    for row in rows:
        try:
            snapshot.made.append(read(row, at))
        except UnknownPayload as error:
            problems.append((error, row))
    snapshot.reject = _reject(record, problems) if problems else None
    return snapshot


def _reject(record: Record, problems: Sequence[tuple[UnknownPayload, Any]]) -> Reject:
    return Reject(
        kind=record.kind,
        account_id=record.account_id,
        key=record.key,
        business_date=record.business_date,
        reason_code=problems[0][0].reason_code,
        reason="; ".join(str(error) for error, _ in problems),
        payload={"rows": [row for _, row in problems]},
    )
