"""Which executions a later row takes back.

A cancel names its original by transactionID, in older statements only by tradeID. A rebook repeats the
cancelled tradeID, so one cancel by tradeID takes back one row: the newest one before the cancel.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.trades import is_cancel
from apex_pipeline.domain.records import Record, RecordKind
from apex_pipeline.errors import UnknownPayload

Key = tuple[str, str]
"""(account, transactionID), or (account, "tradeID:" + tradeID) where only that is told."""

_BY_TRADE_ID = "tradeID:"


def reversed_keys(records: Iterable[Record]) -> set[Key]:
    """What the given records take back: (account, transactionID) or (account, "tradeID:…").

    The originals may belong to other days: fetch them and give them to `normalize` together.
    """
    return {key for record in records if (key := _target(record)) is not None}


def reversed_records(records: Sequence[Record]) -> set[Key]:
    """(account, record key) of the given executions that other given records take back."""
    trades = [record for record in records if record.kind is RecordKind.TRADES]
    reversing = [(record, target) for record in trades if (target := _target(record)) is not None]
    found = {target for _, target in reversing if not target[1].startswith(_BY_TRADE_ID)}
    older = [(record, target) for record, target in reversing if target[1].startswith(_BY_TRADE_ID)]
    if not older:
        return found
    originals: dict[Key, list[Record]] = {}
    for record in trades:
        trade_id = Attributes(record).id("tradeID")
        if trade_id is not None and not is_cancel(Attributes(record)):
            originals.setdefault((record.account_id, f"{_BY_TRADE_ID}{trade_id}"), []).append(record)
    for cancel, target in sorted(older, key=lambda pair: _age(pair[0])):
        candidates = [item for item in originals.get(target, []) if (item.account_id, item.key) not in found]
        original = _original(cancel, candidates)
        if original is not None:
            found.add((original.account_id, original.key))
    return found


def _target(record: Record) -> Key | None:
    if record.kind is not RecordKind.TRADES:
        return None
    row = Attributes(record)
    if not is_cancel(row) and row.text("transactionType") != "TradeCorrect":
        return None
    transaction = row.id("origTransactionID")
    if transaction is not None:
        return record.account_id, transaction
    trade = row.id("origTradeID")
    return None if trade is None else (record.account_id, f"{_BY_TRADE_ID}{trade}")


def _original(cancel: Record, candidates: Sequence[Record]) -> Record | None:
    """The newest candidate that is older than the cancel; the same size, if any has it."""
    others = [item for item in candidates if item is not cancel]
    same = [item for item in others if _quantity(item) == -(_quantity(cancel) or Decimal(0))] or others
    older = [item for item in same if _age(item) < _age(cancel)] or same[:1]
    return max(older, key=_age, default=None)


def _quantity(record: Record) -> Decimal | None:
    try:
        return Attributes(record).number("quantity")
    except UnknownPayload:
        return None


def _age(record: Record) -> tuple[int, str]:
    """IB numbers transactions in the order they are booked; other keys sort first, by their text."""
    return (int(record.key), "") if record.key.isascii() and record.key.isdigit() else (0, record.key)
