"""Rows of executions that no statement has confirmed yet: from the TWS API and from trade confirmations. Pure.

Both are translated into the words of a Flex trade, so that one set of rules names instruments, sides and fees. A
statement's execution of the same id, whatever its revision, replaces them; a confirmation replaces what TWS told.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.fee_bearers import Charged, allocations
from apex_pipeline.brokers.ib.fees import fees_of
from apex_pipeline.brokers.ib.identity import execution_root
from apex_pipeline.brokers.ib.orders import Execution, orders_of
from apex_pipeline.brokers.ib.reversals import reversed_records
from apex_pipeline.brokers.ib.rows import reject_of
from apex_pipeline.brokers.ib.symbols import instrument_of
from apex_pipeline.brokers.ib.trades import is_cancel, trade_of
from apex_pipeline.brokers.ib.tws_contract import flex_words, number
from apex_pipeline.domain.models import Instrument, Side
from apex_pipeline.domain.records import Normalized, Record, RecordKind, Relative
from apex_pipeline.errors import UnknownPayload

TWS, CONFIRMATION = "TWS", "TCF"
"""The `source` of rows made of either."""

COMMISSION = "/commission"
"""How the key of a commission report goes on after the execution's."""

MOST_REVISIONS = 20
_EXEC_ID_PARTS, _SINGLE_LEG = 4, "01"
_COMBINATION = "BAG"
_SECTION = "TradeConfirms"
_SIDES = {"BOT": Side.BUY, "BUY": Side.BUY, "SLD": Side.SELL, "SELL": Side.SELL}
_CONFIRMED_WORDS = {
    "ibExecID": "execID", "ibOrderID": "orderID", "tradePrice": "price", "notes": "code",
    "settleDateTarget": "settleDate", "ibCommission": "commission", "ibCommissionCurrency": "commissionCurrency",
    "taxes": "tax",
}  # fmt: skip
"""Attributes of a Flex trade and what a trade confirmation calls them."""

Root = tuple[str, str]
"""(account, execution id without its last part, which counts revisions)."""


def order_id_of(perm_id: str, exec_id: str) -> str | None:
    """`P{permId}`; of the leg of a combination `P{permId}-{leg}`; None without a permanent id.

    The legs of a combination share one permId, but in a statement each of them is an order of its own.
    """
    if not perm_id.strip("0 "):
        return None
    parts = exec_id.split(".")
    is_leg = len(parts) == _EXEC_ID_PARTS and parts[2].isdigit() and parts[2] != _SINGLE_LEG
    return f"P{perm_id}-{parts[2]}" if is_leg else f"P{perm_id}"


def provisional_rows(records: Sequence[Record], confirmed_roots: Collection[Root]) -> Normalized:
    """Trades, orders, fees and instruments of the executions that no statement confirms.

    `confirmed_roots`: the executions of statements. Of several revisions told by TWS the highest counts. Parents
    of combinations make no row; their legs do. What cannot be read is in `rejects`.
    """
    told = sorted((r for r in records if r.kind is RecordKind.PROVISIONAL), key=lambda r: (r.account_id, r.key))
    result = Normalized(relatives=set(relatives_of(told)))
    confirmations = [item for item in told if _is_confirmation(item)]
    known = {*confirmed_roots}
    _add(result, _confirmed(confirmations, known), CONFIRMATION)
    known |= {root for item in confirmations if (root := _root(item)) is not None}
    _add(result, _from_tws(told, known), TWS)
    return result


def relatives_of(records: Iterable[Record]) -> Iterator[Relative]:
    """The statement's executions that may confirm these records, and what else was told of the same ones."""
    for account, root in {found for record in records if (found := _root(record)) is not None}:
        yield Relative(account, "_root", root, RecordKind.PROVISIONAL)
        for revision in range(1, MOST_REVISIONS + 1):
            yield Relative(account, "ibExecID", f"{root}.{revision:02d}")


def confirmations_of(records: Iterable[Record]) -> Iterator[Relative]:
    """What may have been told of these executions of statements before."""
    for record in records:
        exec_id = Attributes(record).id("ibExecID") if record.kind is RecordKind.TRADES else None
        if exec_id is not None:
            yield Relative(record.account_id, "_root", execution_root(exec_id), RecordKind.PROVISIONAL)


@dataclass(slots=True)
class _Candidate:
    """An execution in the words of a Flex trade, and its fee record if one was told."""

    record: Record
    source: Record
    fees: list[Record] = field(default_factory=list[Record])


def _root(record: Record) -> Root | None:
    own = record.payload.get("execID") if _is_confirmation(record) else record.payload.get("execId")
    return (record.account_id, execution_root(str(own).strip())) if own and str(own).strip() else None


def _is_confirmation(record: Record) -> bool:
    return record.payload.get("_section") == _SECTION


def _confirmed(records: Sequence[Record], known: Collection[Root]) -> Iterator[_Candidate]:
    """Confirmations of executions that are not known; a cancel only beside the one that it takes back."""
    rows = [record for record in records if (record.payload.get("levelOfDetail") or "EXECUTION") == "EXECUTION"]
    rows = [record for record in rows if _root(record) not in known]
    made = [_Candidate(_in_flex_words(record), record) for record in rows]
    original_ids = {Attributes(item.record).id("tradeID") for item in made if not _takes_back(item)}
    for item in made:
        if not _takes_back(item) or Attributes(item.record).id("origTradeID") in original_ids:
            item.fees.append(_as(item.record, RecordKind.FEES))
            yield item


def _takes_back(item: _Candidate) -> bool:
    return is_cancel(Attributes(item.record))


def _in_flex_words(record: Record) -> Record:
    renamed = {ours: record.payload.get(theirs, "") for ours, theirs in _CONFIRMED_WORDS.items()}
    own = {name: value for name, value in record.payload.items() if name not in _CONFIRMED_WORDS.values()}
    return Record(
        RecordKind.TRADES, record.account_id, record.key, record.business_date, {**own, **renamed}, record.order_id
    )  # fmt: skip


def _as(record: Record, kind: RecordKind) -> Record:
    """The same record as one of another kind."""
    return Record(kind, record.account_id, record.key, record.business_date, record.payload, record.order_id)


def _from_tws(records: Sequence[Record], known: Collection[Root]) -> Iterator[_Candidate]:
    """The highest revision of each execution of TWS that is not known, with the newest commission told of it."""
    newest: dict[Root, Record] = {}
    commissions: dict[Root, Record] = {}
    for record in records:
        root = _root(record)
        if record.payload.get("_source") != TWS or root is None or root in known:
            continue
        kept = commissions if record.key.endswith(COMMISSION) else newest
        if root not in kept or _revision(record) >= _revision(kept[root]):
            kept[root] = record
    for root, record in newest.items():
        if (record.payload.get("contract") or {}).get("secType") != _COMBINATION:
            yield _tws_candidate(record, commissions.get(root))


def _revision(record: Record) -> tuple[int, str]:
    last = str(record.payload["execId"]).rpartition(".")[2]
    return (int(last) if last.isascii() and last.isdigit() else 0, last)


def _tws_candidate(record: Record, commission: Record | None) -> _Candidate:
    told = record.payload
    at = datetime.fromisoformat(told["executedAt"]) if told.get("executedAt") else None
    side = _SIDES.get(str(told.get("side", "")).upper())
    qty = number(told.get("shares")).lstrip("+-")
    words: dict[str, Any] = {
        **flex_words(told.get("contract") or {}, told.get("exchange", "")),
        "ibExecID": told["execId"],
        "ibOrderID": record.order_id or "",
        "transactionType": "ExchTrade",
        "dateTime": f"{at:%Y%m%d;%H%M%S} UTC" if at else "",
        "tradeDate": f"{record.business_date:%Y%m%d}",
        "buySell": side.value if side else "",
        "quantity": f"-{qty}" if qty and side is Side.SELL else qty,
        "tradePrice": number(told.get("price")),
        "orderReference": told.get("orderRef", ""),
    }
    made = Record(RecordKind.TRADES, record.account_id, record.key, record.business_date, words, record.order_id)
    fees = [_tws_fee(made, commission)] if commission else []
    return _Candidate(made, record, fees)


def _tws_fee(trade: Record, commission: Record) -> Record:
    """The commission in the words and the sign of a statement, where paid is negative."""
    charged = number(commission.payload.get("commission"))
    turned = charged.removeprefix("-") if charged.startswith("-") else f"-{charged.removeprefix('+')}"
    words = {
        **trade.payload,
        "ibCommission": turned if charged else "",
        "ibCommissionCurrency": commission.payload.get("currency", ""),
    }
    return Record(RecordKind.FEES, trade.account_id, trade.key, trade.business_date, words, trade.order_id)


def _add(result: Normalized, candidates: Iterable[_Candidate], source: str) -> None:
    """Fill `result` with the rows of these candidates; one that cannot be read becomes a reject."""
    found = list(candidates)
    taken_back = reversed_records([item.record for item in found])
    executions: list[Execution] = []
    instruments: dict[str, Instrument] = {}
    charged: list[Charged] = []
    for item in found:
        try:
            executions.append(_execution(item, taken_back, source, instruments))
            charged.extend((record, list(fees_of(record))) for record in item.fees)
        except UnknownPayload as error:
            result.rejects.append(reject_of(item.source, error))
    result.trades.extend(item.trade for item in executions)
    result.fees.extend(fee for _, fees in charged for fee in fees)
    result.fee_allocations.extend(allocations(charged, executions))
    result.orders.extend(replace(order, source=source) for order in orders_of(executions, {}))
    result.instruments.extend(instruments.values())


def _execution(
    item: _Candidate, taken_back: Collection[Root], source: str, instruments: dict[str, Instrument]
) -> Execution:
    row = Attributes(item.record)
    if source == TWS and not row.text("buySell"):
        raise UnknownPayload("missing_side", f"side {str(item.source.payload.get('side'))[:20]!r} is not BOT or SLD")
    if row.id("ibExecID") is None and not is_cancel(row):
        raise UnknownPayload(
            "missing_execID",
            "the confirmation has no execID, so the statement could not replace it: add this field to the query",
        )
    named = instrument_of(row)
    trade = replace(trade_of(item.record, named, taken_back), source=source)
    # where an execution of TWS happened is not where its instrument is listed
    told = replace(named.instrument, exchange=None) if source == TWS else named.instrument
    instruments[told.symbol] = told
    return Execution(trade, item.record)
