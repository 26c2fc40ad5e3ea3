"""Which executions a later row takes back.

A cancel names its original by transactionID, in older statements only by tradeID. A rebook repeats the
cancelled tradeID, so one cancel by tradeID takes back one row: the newest one before the cancel.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.trades import is_cancel, is_reversing
from apex_pipeline.domain.records import Record, RecordKind, Relative
from apex_pipeline.errors import UnknownPayload

Key = tuple[str, str]
"""(account, transactionID), or (account, "tradeID:" + tradeID) where only that is told."""

BY_TRADE_ID = "tradeID:"


def relatives_of(records: Iterable[Record]) -> Iterator[Relative]:
    """The trades that these take back, that take these back, and the rebooks among which the choice is made.

    A trade cannot know whether it was taken back, so each one asks; only a reversing row names others by their ids.
    """
    for record in records:
        if record.kind is not RecordKind.TRADES:
            continue
        row = Attributes(record)
        told = {"origTransactionID": record.key, "origTradeID": row.id("tradeID")}
        if is_reversing(row):
            told |= {"transactionID": row.id("origTransactionID"), "tradeID": row.id("origTradeID")}
        for field, value in told.items():
            if value is not None:
                yield Relative(record.account_id, field, value)


def reversed_records(records: Sequence[Record]) -> set[Key]:
    """(account, record key) of the given executions that other given records take back."""
    trades = [record for record in records if record.kind is RecordKind.TRADES]
    reversing = [(record, target) for record in trades if (target := original_of(record)) is not None]
    found = {target for _, target in reversing if not target[1].startswith(BY_TRADE_ID)}
    older = [(record, target) for record, target in reversing if target[1].startswith(BY_TRADE_ID)]
    if not older:
        return found
    originals: dict[Key, list[Record]] = {}
    for record in trades:
        trade_id = Attributes(record).id("tradeID")
        if trade_id is not None and not is_cancel(Attributes(record)):
            originals.setdefault((record.account_id, f"{BY_TRADE_ID}{trade_id}"), []).append(record)
    for cancel, target in sorted(older, key=lambda pair: age_of(pair[0])):
        candidates = [item for item in originals.get(target, []) if (item.account_id, item.key) not in found]
        original = _original(cancel, candidates)
        if original is not None:
            found.add((original.account_id, original.key))
    return found


def check_original(row: Attributes) -> None:
    """Nothing, or UnknownPayload: a reversing row that names no trade would leave one in force unseen."""
    if is_reversing(row) and original_of(row.record) is None:
        raise UnknownPayload(
            "missing_original",
            "the row takes a trade back but does not say which: add origTransactionID and origTradeID to the query",
        )


def original_of(record: Record) -> Key | None:
    """The execution that a record takes back, by the id it is told by; None for one that takes nothing back."""
    if record.kind is not RecordKind.TRADES:
        return None
    row = Attributes(record)
    if not is_reversing(row):
        return None
    transaction = row.id("origTransactionID")
    if transaction is not None:
        return record.account_id, transaction
    trade = row.id("origTradeID")
    return None if trade is None else (record.account_id, f"{BY_TRADE_ID}{trade}")


def _original(cancel: Record, candidates: Sequence[Record]) -> Record | None:
    """The newest candidate before the cancel, of the same size if any has it; a later rebook is never meant."""
    before = [item for item in candidates if item is not cancel and not _follows(item, cancel)]
    same = [item for item in before if _quantity(item) == -(_quantity(cancel) or Decimal(0))]
    return max(same or before, key=age_of, default=None)


def _follows(item: Record, cancel: Record) -> bool:
    """True if it was booked later than the cancel; where one of them has no number it is unknown."""
    return age_of(cancel)[0] > 0 and age_of(item) > age_of(cancel)


def _quantity(record: Record) -> Decimal | None:
    try:
        return Attributes(record).number("quantity")
    except UnknownPayload:
        return None


def age_of(record: Record) -> tuple[int, str]:
    """Where it stands: IB numbers transactions in the order they are booked; other keys sort first, by their text."""
    return (int(record.key), "") if record.key.isascii() and record.key.isdigit() else (0, record.key)
