"""Futu records to normalized rows of every kind. Pure; same records, same rows, whatever their order.

Records of one order are read together: a deal takes its contract size and currency from its order, and
fees take their currency and date. What cannot be read becomes a reject; its neighbours load.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from apex_pipeline.brokers.futu import balances, cash, drift, fees, orders, positions, rebuilt, trades
from apex_pipeline.domain.models import Instrument, Order, Trade
from apex_pipeline.domain.records import Normalized, Record, RecordKind, Reject
from apex_pipeline.errors import UnknownPayload

_Made = TypeVar("_Made")
_OF_ORDERS = frozenset({RecordKind.ORDERS, RecordKind.TRADES, RecordKind.FEES})


@dataclass(slots=True)
class _Rows:
    """The rows made so far; one instrument per symbol."""

    made: Normalized = field(default_factory=Normalized)
    instruments: dict[str, Instrument] = field(default_factory=dict)

    def add_instruments(self, instruments: Iterable[Instrument]) -> None:
        for instrument in instruments:
            known = self.instruments.get(instrument.symbol)
            self.instruments[instrument.symbol] = _completed(known, instrument) if known else instrument


def normalize(records: Sequence[Record]) -> Normalized:
    """Rows of these records; all records of one order must be given together."""
    rows = _Rows()
    for group in _by_order(records):
        _normalize_order(group, rows)
    for record in records:
        _normalize_single(record, rows)
    rows.made.instruments.extend(rows.instruments.values())
    rows.made.drifts.extend(drift.drifts(records))
    return rows.made


def _by_order(records: Sequence[Record]) -> Iterable[list[Record]]:
    groups: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.kind in _OF_ORDERS:
            # a deal without an order stands for itself
            groups[record.account_id, record.order_id or f"deal {record.key}"].append(record)
    return groups.values()


def _normalize_order(group: Sequence[Record], rows: _Rows) -> None:
    order: Order | None = None
    for record in _of_kind(group, RecordKind.ORDERS):
        read = _attempt(record, rows, orders.read)
        if read is not None:
            order, found = read
            rows.made.orders.append(order)
            rows.add_instruments(found)
    executions = _executions(group, order, rows)
    rows.made.trades.extend(executions)
    order_id = group[0].order_id
    if executions and order_id and not _of_kind(group, RecordKind.ORDERS):
        order, found = rebuilt.order_of(order_id, executions)
        rows.made.orders.append(order)
        rows.add_instruments(found)
    for record in _of_kind(group, RecordKind.FEES):
        charged = _attempt(record, rows, lambda one: fees.read(one, order, executions)) or []
        rows.made.fees.extend(charged)
        rows.made.fee_allocations.extend(fees.allocations(charged, executions))


def _executions(group: Sequence[Record], order: Order | None, rows: _Rows) -> list[Trade]:
    executions: list[Trade] = []
    doubtful: set[str] = set()
    for record in sorted(_of_kind(group, RecordKind.TRADES), key=lambda one: one.key):
        deal = _attempt(record, rows, lambda one: trades.read(one, order))
        if deal is not None:
            trade, instrument = deal
            executions.append(trade)
            rows.add_instruments([instrument])
            if trades.is_doubtful(record):
                doubtful.add(trade.trade_uid)
    return trades.settled(executions, frozenset(doubtful), order)


def _normalize_single(record: Record, rows: _Rows) -> None:
    match record.kind:
        case RecordKind.POSITIONS:
            held, instruments = positions.read(record)
            rows.made.positions.extend(held.made)
            rows.made.rejects.extend([held.reject] if held.reject else [])
            rows.add_instruments(instruments)
        case RecordKind.BALANCES:
            funds = balances.read(record)
            rows.made.balances.extend(funds.made)
            rows.made.rejects.extend([funds.reject] if funds.reject else [])
        case RecordKind.CASH:
            flow = _attempt(record, rows, cash.read)
            if flow is not None:
                rows.made.cash_movements.append(flow[0])
                rows.add_instruments([flow[1]] if flow[1] else [])
        case _:
            pass


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
