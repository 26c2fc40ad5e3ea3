"""Which trade bears a fee that no trade names, or that stayed on a cancelled one.

Taxes belong to the trade of their row. The fees of an execution that was cancelled and rebooked stay on the row of the
original (portfolio #5915), and its rebook is charged nothing: they belong to the rebook that is in force.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.orders import Execution
from apex_pipeline.brokers.ib.reversals import BY_TRADE_ID, age_of, original_of
from apex_pipeline.domain.models import Fee, FeeAllocation, Trade, TradeKind
from apex_pipeline.domain.records import Record, RecordKind, Relative

Place = tuple[str, str]
"""Account and key of a record."""

Charged = tuple[Record, Sequence[Fee]]
"""A fee record, or the execution it belongs to, and the fees that it tells."""


def allocations(charged: Iterable[Charged], executions: Sequence[Execution]) -> Iterator[FeeAllocation]:
    """Each such fee, whole, to the trade that bears it; nothing for a commission that its own trade bears.

    `executions`: all of the account and tradeID of the fees, whatever takes them back included. A cancelled execution
    that nothing replaces keeps its commission, and its taxes.
    """
    own = {(item.record.account_id, item.record.key): item.trade for item in executions}
    rebooked = _rebooked(executions)
    for record, fees in charged:
        place = record.account_id, record.key
        bearer = rebooked.get(place)
        for fee in fees:
            trade = bearer or (own.get(place) if fee.trade_uid is None else None)
            if trade is not None:
                yield FeeAllocation(fee.fee_uid, trade.trade_uid, fee.broker, fee.account_id, fee.amount)


def rebook_relatives(executions: Iterable[Execution]) -> Iterator[Relative]:
    """The rebooks of executions that were taken back, the originals of what may be one, and fees without an order.

    A rebook is charged no commission; every other execution asks for nothing.
    """
    for item in executions:
        row, trade = Attributes(item.record), item.trade
        gone = not trade.effective and trade.kind is not TradeKind.CANCEL
        trade_id = row.id("tradeID") if gone or _is_free(row) else None
        if trade_id is not None:
            yield Relative(trade.account_id, "tradeID", trade_id)
            if gone and item.record.order_id is None:
                yield Relative(trade.account_id, "tradeID", trade_id, RecordKind.FEES)


def _is_free(row: Attributes) -> bool:
    """Whether an execution is charged no commission; book entries never are."""
    return row.text("transactionType") != "BookTrade" and not (row.text("ibCommission") or "").strip("-+0.")


def _rebooked(executions: Sequence[Execution]) -> Mapping[Place, Trade]:
    """The trade in force that took the place of each execution that was taken back."""
    gone = [item for item in executions if not item.trade.effective and item.trade.kind is not TradeKind.CANCEL]
    if not gone:
        return {}
    followers = _followers(executions)
    found: dict[Place, Trade] = {}
    for item in gone:
        standing = [one for one in _generations(item, followers) if one.trade.effective]
        if standing:
            last = max(standing, key=lambda one: age_of(one.record))
            found[item.record.account_id, item.record.key] = last.trade
    return found


def _followers(executions: Sequence[Execution]) -> Mapping[Place, list[Execution]]:
    """Executions by what they may follow: those of their tradeID, and what a correction names."""
    followers: defaultdict[Place, list[Execution]] = defaultdict(list)
    for item in executions:
        if item.trade.kind is TradeKind.CANCEL:
            continue
        corrected = original_of(item.record)
        for name in {*_names(item), *([corrected] if corrected else [])}:
            followers[name].append(item)
    return followers


def _generations(original: Execution, followers: Mapping[Place, Sequence[Execution]]) -> list[Execution]:
    """What was booked in the place of an execution, and in the place of that."""
    found: dict[str, Execution] = {}
    waiting = [original]
    while waiting:
        item = waiting.pop()
        for name in _names(item):
            for one in followers.get(name, ()):
                if one.record.key not in found and age_of(one.record) > age_of(item.record):
                    found[one.record.key] = one
                    waiting.append(one)
    return list(found.values())


def _names(item: Execution) -> list[Place]:
    """What a later row may call an execution: its transactionID, and its tradeID as `reversals` spells it."""
    account, trade_id = item.record.account_id, Attributes(item.record).id("tradeID")
    return [(account, item.record.key), *([(account, f"{BY_TRADE_ID}{trade_id}")] if trade_id else [])]
