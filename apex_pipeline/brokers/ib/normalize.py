"""Records to rows: how trades, orders, fees, other sections and what was told before them belong together. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.drift import drifts
from apex_pipeline.brokers.ib.fee_bearers import Charged, allocations, rebook_relatives
from apex_pipeline.brokers.ib.fee_parts import parts_of, section_relatives
from apex_pipeline.brokers.ib.fees import fees_of
from apex_pipeline.brokers.ib.identity import execution_root
from apex_pipeline.brokers.ib.links import linked
from apex_pipeline.brokers.ib.orders import Execution, orders_of
from apex_pipeline.brokers.ib.provisional import TWS, confirmations_of, provisional_rows
from apex_pipeline.brokers.ib.reversals import check_original, relatives_of, reversed_records
from apex_pipeline.brokers.ib.rows import reject_of
from apex_pipeline.brokers.ib.statement_facts import add_sections
from apex_pipeline.brokers.ib.symbols import instrument_of
from apex_pipeline.brokers.ib.trade_figures import trade_figures
from apex_pipeline.brokers.ib.trades import order_uid, trade_of, uid_of_transaction
from apex_pipeline.brokers.ib.tws_snapshots import tws_balances, tws_instruments, tws_positions
from apex_pipeline.domain.models import Instrument
from apex_pipeline.domain.records import Normalized, Record, RecordKind
from apex_pipeline.errors import UnknownPayload


def normalize(records: Sequence[Record]) -> Normalized:
    """Rows of these records; all records of one order, and all `relatives` told, must be given together.

    The result does not depend on the order of the records. What no rule can read is in `rejects`, what loads with a
    word that no rule knows is in `drifts`.
    """
    current = _newest(records)
    result = Normalized()
    executions = linked(_executions([item for item in current if item.kind is RecordKind.TRADES], result))
    result.trades.extend(item.trade for item in executions)
    order_rows = {
        uid: item for item in current if item.kind is RecordKind.ORDERS and (uid := order_uid(Attributes(item)))
    }
    result.orders.extend(orders_of(executions, order_rows))
    _fees(current, executions, result)
    _add_figures(executions, result)
    _add_provisional(current, result)
    add_sections(current, result)
    _add_snapshots(current, result)
    result.relatives.update(relatives_of(current), section_relatives(current), confirmations_of(current))
    result.relatives.update(rebook_relatives(executions))
    result.drifts.extend(drifts(current))
    return result


def _newest(records: Sequence[Record]) -> list[Record]:
    """One record per key, the version IB wrote last, in an order that depends on the keys only."""
    newest: dict[tuple[str, str, str], Record] = {}
    for record in records:
        key = (record.kind, record.account_id, record.key)
        known = newest.get(key)
        if known is None or _written(record) >= _written(known):
            newest[key] = record
    return [newest[key] for key in sorted(newest, key=lambda key: (key[0], key[1], len(key[2]), key[2]))]


def _written(record: Record) -> str:
    return record.generated_at.isoformat() if record.generated_at else ""


def _executions(records: Sequence[Record], result: Normalized) -> list[Execution]:
    """Trade rows and their records; fills `result.instruments` and `result.rejects`."""
    taken_back = reversed_records(records)
    made: dict[str, Execution] = {}
    standing: dict[str, Record] = {}
    instruments: dict[str, Instrument] = {}
    for record in records:
        try:
            check_original(Attributes(record))
            named = instrument_of(Attributes(record))
            trade = trade_of(record, named, taken_back)
            if trade.effective and standing.setdefault(trade.trade_uid, record) is not record:
                raise _repeated(record, standing[trade.trade_uid])
        except UnknownPayload as error:
            result.rejects.append(reject_of(record, error))
            continue
        if trade.trade_uid in made:  # one of the two was taken back, so each is a row of its own
            trade = replace(trade, trade_uid=uid_of_transaction(record))
        made[trade.trade_uid] = Execution(trade, record)
        instruments[named.instrument.symbol] = named.instrument
    result.instruments.extend(instruments.values())
    return list(made.values())


def _repeated(record: Record, other: Record) -> UnknownPayload:
    return UnknownPayload("same_execution", f"row {record.key} repeats the execution id of row {other.key}")


def _fees(records: Sequence[Record], executions: Sequence[Execution], result: Normalized) -> None:
    """Fills `result.fees`, each under the uid that its trade has, `result.fee_allocations` and `result.rejects`."""
    uids = {(trade.account_id, trade.broker_trade_id): trade.trade_uid for trade in result.trades}
    parts = parts_of(records)
    charged: list[Charged] = []
    for record in (item for item in records if item.kind is RecordKind.FEES):
        try:
            fees = list(fees_of(record, parts))
        except UnknownPayload as error:
            result.rejects.append(reject_of(record, error))
            continue
        own = uids.get((record.account_id, record.key))
        fees = [replace(fee, trade_uid=own) if own and fee.trade_uid else fee for fee in fees]
        charged.append((record, fees))
        result.fees.extend(fees)
    result.fee_allocations.extend(allocations(charged, executions))


def _add_figures(executions: Sequence[Execution], result: Normalized) -> None:
    """What IB computed for each trade. A figure that cannot be read is refused by itself: the trade is a fact."""
    for item in executions:
        try:
            result.statements.broker_trade_figures.append(trade_figures(item))
        except UnknownPayload as error:
            result.rejects.append(replace(reject_of(item.record, error), key=f"{item.record.key}#figures"))


def _add_provisional(records: Sequence[Record], result: Normalized) -> None:
    """What other interfaces told of executions that no statement holds yet."""
    confirmed = {
        (item.account_id, execution_root(exec_id))
        for item in records
        if item.kind is RecordKind.TRADES and (exec_id := Attributes(item).id("ibExecID"))
    }
    told = provisional_rows(records, confirmed)
    named = {instrument.symbol for instrument in result.instruments}
    result.trades.extend(told.trades)
    result.orders.extend(told.orders)
    result.fees.extend(told.fees)
    result.fee_allocations.extend(told.fee_allocations)
    result.instruments.extend(one for one in told.instruments if one.symbol not in named)
    result.rejects.extend(told.rejects)
    result.relatives.update(told.relatives)


def _add_snapshots(records: Sequence[Record], result: Normalized) -> None:
    """What TWS told of today's positions and balances, where no statement of the day tells them."""
    snapshots = [item for item in records if item.kind in (RecordKind.POSITIONS, RecordKind.BALANCES)]
    stated = {(one.kind, one.account_id, one.business_date) for one in snapshots if one.payload.get("_source") != TWS}
    for item in snapshots:
        if item.payload.get("_source") != TWS or (item.kind, item.account_id, item.business_date) in stated:
            continue
        try:
            _add_snapshot(item, result)
        except UnknownPayload as error:
            result.rejects.append(reject_of(item, error))


def _add_snapshot(record: Record, result: Normalized) -> None:
    if record.kind is RecordKind.BALANCES:
        result.balances.extend(tws_balances(record))
        return
    result.positions.extend(tws_positions(record))
    named = {instrument.symbol for instrument in result.instruments}
    result.instruments.extend(one for one in tws_instruments(record) if one.symbol not in named)
