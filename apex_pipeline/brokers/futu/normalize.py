"""Futu records to normalized rows: orders, trades, fees and instruments. Pure; same records, same rows.

Records of one order are read together: a deal takes its contract size and currency from its order, and
fees take their currency and date. What cannot be read becomes a reject; its neighbours load.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from apex_pipeline.brokers.futu import fees, orders, trades
from apex_pipeline.domain.models import Instrument, Order, Trade
from apex_pipeline.domain.records import Normalized, Record, RecordKind, Reject
from apex_pipeline.errors import UnknownPayload

_Made = TypeVar("_Made")


@dataclass(slots=True)
class _Rows:
    """The rows made so far; one instrument per symbol."""

    made: Normalized = field(default_factory=Normalized)
    instruments: dict[str, Instrument] = field(default_factory=dict)

    def add_instrument(self, instrument: Instrument) -> None:
        known = self.instruments.get(instrument.symbol)
        self.instruments[instrument.symbol] = _completed(known, instrument) if known else instrument


def normalize(records: Sequence[Record]) -> Normalized:
    """Rows of these records; all records of one order must be given together."""
    groups: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        # a deal without an order stands for itself
        groups[record.account_id, record.order_id or f"deal {record.key}"].append(record)
    rows = _Rows()
    for group in groups.values():
        _normalize_order(group, rows)
    rows.made.instruments.extend(rows.instruments.values())
    return rows.made


def _normalize_order(group: Sequence[Record], rows: _Rows) -> None:
    order: Order | None = None
    for record in _of_kind(group, RecordKind.ORDERS):
        read = _attempt(record, rows, orders.read)
        if read is not None:
            order, found = read
            rows.made.orders.append(order)
            for instrument in found:
                rows.add_instrument(instrument)
    executions: list[Trade] = []
    for record in _of_kind(group, RecordKind.TRADES):
        deal = _attempt(record, rows, lambda one: trades.read(one, order))
        if deal is not None:
            trade, instrument = deal
            executions.append(trade)
            rows.add_instrument(instrument)
    rows.made.trades.extend(executions)
    for record in _of_kind(group, RecordKind.FEES):
        rows.made.fees.extend(_attempt(record, rows, lambda one: fees.read(one, order, executions)) or ())


def _attempt(record: Record, rows: _Rows, read: Callable[[Record], _Made]) -> _Made | None:
    try:
        return read(record)
    except UnknownPayload as error:
        rows.made.rejects.append(
            Reject(
                kind=record.kind,
                account_id=record.account_id,
                key=record.key,
                business_date=record.business_date,
                reason_code=error.reason_code,
                reason=str(error),
                payload=record.payload,
            )
        )
        return None


def _of_kind(group: Sequence[Record], kind: RecordKind) -> list[Record]:
    return [record for record in group if record.kind == kind]


def _completed(known: Instrument, other: Instrument) -> Instrument:
    """What is known stays; what was unknown is filled in."""
    return replace(
        known,
        multiplier=known.multiplier if known.multiplier is not None else other.multiplier,
        currency=known.currency or other.currency,
        name=known.name or other.name,
    )
