"""Where a row comes from: the rows it was made of, the raw records behind them, and the bytes that were received.

Tables are joined as `EDGES` says. A row is named by its uid, which rows of several tables may share (a trade and the
lot that it opened), or by its table and its key with slashes between, as `positions_daily/2026-01-02/U123/265598`.
"""

import html
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import FEE_ALLOCATIONS, STATEMENT_TABLES, Table, is_named, table_named
from apex_pipeline.store.transaction import Row, Transaction

MOST = 5
"""Rows shown of one join; the number of the others is told."""

MOST_OF_A_BREAK = 20
"""Rows that are followed of those that a break names."""

DEEPEST = 8
_BEFORE, _AFTER = 80, 400
_LONGEST = 8000
"""Bytes of an element that is shown whole."""

_PACKED_CHUNK = 1 << 16

On = tuple[tuple[str, str], ...]
"""Columns that must be equal: of the other table, and of this row."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The rows of another table that a row was made of."""

    table: str
    on: On


@dataclass(slots=True)
class Origin:
    """A row and what it was made of. `more`: how many joins had more rows than are shown."""

    table: str
    key: str
    row: Row
    made_of: list["Origin"] = field(default_factory=list["Origin"])
    more: int = 0


def _by(table: str, column: str, own: str) -> Edge:
    return Edge(table, ((column, own),))


def _of_instrument(table: str) -> Edge:
    return Edge(table, (("account_id", "account_id"), ("instrument_id", "instrument_id")))


EDGES: Mapping[str, Sequence[Edge]] = {
    "realized_pnl": (
        _by("lots", "lot_uid", "lot_uid"),
        _by("position_movements", "movement_uid", "close_trade_uid"),
        _by("broker_trade_figures", "trade_uid", "close_trade_uid"),
    ),
    "lots": (_by("position_movements", "movement_uid", "open_trade_uid"), _by("lot_moves", "to_lot_uid", "lot_uid")),
    "lot_moves": (_by("lots", "lot_uid", "lot_uid"), _by("position_movements", "movement_uid", "movement_uid")),
    "ledger_stops": (_by("position_movements", "movement_uid", "stop_uid"),),
    "position_movements": (
        _by("trades_norm", "trade_uid", "movement_uid"),
        _by("corporate_actions", "action_uid", "movement_uid"),
        _by("transfers", "transfer_uid", "movement_uid"),
        _by("opening_balances", "opening_uid", "movement_uid"),
    ),
    "opening_balances": (Edge("broker_lots", (("account_id", "account_id"), ("open_trade_id", "open_trade_id"))),),
    "trades_norm": (_by("fees_norm", "trade_uid", "trade_uid"), _by("fee_allocations", "trade_uid", "trade_uid")),
    "fee_allocations": (_by("fees_norm", "fee_uid", "fee_uid"),),
    "orders_norm": (_by("trades_norm", "order_uid", "order_uid"),),
    "order_strategy_map": (_by("orders_norm", "order_uid", "order_uid"),),
    "position_events": (_by("position_movements", "movement_uid", "trade_uid"),),
    "round_trips": (_by("position_events", "position_uid", "trade_id"),),
    "positions": (_by("round_trips", "trade_id", "position_id"),),
    "positions_daily": (_of_instrument("lots"),),
    "cash_ledger": (
        _by("trades_norm", "trade_uid", "trade_uid"),
        _by("cash_movements", "cash_uid", "cash_uid"),
        _by("fees_norm", "fee_uid", "fee_uid"),
        _by("corporate_actions", "action_uid", "source_uid"),
        _by("transfers", "transfer_uid", "source_uid"),
        _by("broker_funds", "line_uid", "source_uid"),
    ),
    "cash_account_state": (Edge("cash_ledger", (("account_id", "account_id"), ("currency", "currency"))),),
    "settlement_tracking": (_by("trades_norm", "trade_uid", "trade_uid"),),
    "day_trades": (
        _by("trades_norm", "trade_uid", "open_trade_uid"),
        _by("trades_norm", "trade_uid", "close_trade_uid"),
    ),
    "wash_sale_flags": (
        _by("realized_pnl", "close_trade_uid", "loss_trade_uid"),
        _by("trades_norm", "trade_uid", "acquired_trade_uid"),
    ),
    "performance_metrics": (
        Edge("positions_daily", (("account_id", "account_id"), ("business_date", "business_date"))),
        Edge("realized_pnl", (("account_id", "account_id"), ("closed_on", "business_date"))),
    ),
    "recon_breaks": (
        _by("trades_norm", "trade_uid", "subject"),
        _by("orders_norm", "order_uid", "subject"),
        _by("ledger_stops", "stop_uid", "subject"),
    ),
}

_STARTS = (
    "realized_pnl", "trades_norm", "orders_norm", "fees_norm", "cash_movements", "lots", "lot_moves", "ledger_stops",
    "position_events", "round_trips", "positions", "cash_ledger", "recon_breaks", "opening_balances",
    "position_movements", "day_trades", "wash_sale_flags", *STATEMENT_TABLES,
)  # fmt: skip
"""Tables that a uid is looked for in."""

_RAW_KINDS = {"trades_norm": "trades", "orders_norm": "orders", "fees_norm": "fees", "cash_movements": "cash"}


class LineageRepository:
    """Reads where rows come from."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def origins(self, name: str) -> list[Origin]:
        """The rows of this name with everything they were made of; none if no table holds it.

        What was told of one row is not told again of the next.
        """
        with self._db.transaction() as tx:
            found = self._starts(tx, name)
            seen = {(origin.table, origin.key) for origin in found}
            for origin in found:
                self._follow(tx, origin, seen, 0)
            return found

    def _starts(self, tx: Transaction, name: str) -> list[Origin]:
        table, _, rest = name.partition("/")
        if rest and "_raw_" in table:
            return [_recorded(tx, row, {}) for row in _raw_rows(tx, table, rest)]
        if rest and is_named(table):
            known = table_named(table)
            key = rest.split("/", len(known.key) - 1)
            rows = tx.find(known, dict(zip(known.key, key, strict=False)), MOST)
            return [Origin(table, _key(known, row), row) for row in rows]
        found = [(each, tx.find(table_named(each), {table_named(each).key[0]: name}, 1)) for each in _STARTS]
        return [Origin(each, name, rows[0]) for each, rows in found if rows]

    def _follow(self, tx: Transaction, origin: Origin, seen: set[tuple[str, str]], depth: int) -> None:
        if depth >= DEEPEST:
            return
        row = _with_source(origin)
        for edge in EDGES.get(origin.table, ()):
            wanted = {column: row[own] for column, own in edge.on if row.get(own) is not None}
            if len(wanted) < len(edge.on):
                continue
            table = table_named(edge.table)
            rows = tx.find(table, wanted, MOST + 1)
            for made_of in rows[:MOST]:
                self._add(tx, origin, Origin(edge.table, _key(table, made_of), made_of), seen, depth)
            origin.more += len(rows) > MOST
        origin.made_of.extend(_recorded(tx, raw, origin.row) for raw in _raw_records(tx, origin))
        for name in _blamed(origin):
            for found in self._starts(tx, name):
                self._add(tx, origin, found, seen, depth)

    def _add(self, tx: Transaction, into: Origin, found: Origin, seen: set[tuple[str, str]], depth: int) -> None:
        if (found.table, found.key) in seen:
            return
        seen.add((found.table, found.key))
        into.made_of.append(found)
        self._follow(tx, found, seen, depth + 1)


def _blamed(origin: Origin) -> list[str]:
    """The rows that a break names, and the breaks that it follows from."""
    if origin.table != "recon_breaks":
        return []
    return [*map(str, origin.row["evidence"].get("rows") or ()), *origin.row["follows"]][:MOST_OF_A_BREAK]


def _raw_rows(tx: Transaction, table: str, rest: str) -> list[Row]:
    """The raw record that is named by its table, account and key."""
    kind, _, broker = table.partition("_raw_")
    account, _, key = rest.partition("/")
    scope = {"broker": broker.upper(), "account_id": account, "kinds": [kind]}
    return tx.fetch("why_record", **scope, key=key, order_id=None)


def _recorded(tx: Transaction, raw: Row, made: Row) -> Origin:
    """A raw record and where it stands in the bytes received; `made` is the row that was made of it."""
    told = Origin(f"{raw['kind']}_raw_{raw['broker'].lower()}", raw["record_key"], raw)
    told.made_of.extend(_documents(tx, raw, made))
    return told


def _with_source(origin: Origin) -> Row:
    """The row, with what an entry of cash was booked for: its uid is that of the other row and a word."""
    if origin.table != "cash_ledger":
        return origin.row
    return origin.row | {"source_uid": origin.row["entry_uid"].rpartition(":")[0]}


def _key(table: Table, row: Row) -> str:
    if len(table.key) == 1 or table is FEE_ALLOCATIONS:
        return str(row[table.key[0]])
    return "/".join((table.name, *(str(row[column]) for column in table.key)))


def _raw_records(tx: Transaction, origin: Origin) -> list[Row]:
    """The raw records that a normalized row was read from."""
    row, kind = origin.row, _RAW_KINDS.get(origin.table)
    scope = {"broker": row.get("broker"), "account_id": row.get("account_id")}
    if kind == "trades":
        own = row["broker_trade_id"]
        ended = own.removeprefix("L").removesuffix("_S") if row["source"].endswith("_cash") else None
        return tx.fetch("why_record", **scope, kinds=["trades", "cash", "provisional"], key=ended or own, order_id=None)
    if kind == "orders":
        order_id = row["broker_order_id"]
        return tx.fetch("why_record", **scope, kinds=["orders", "provisional"], key=order_id, order_id=order_id)
    if kind == "cash":
        own = row["broker_cash_id"].removesuffix("_BASE").removesuffix("_QUOTE")
        return tx.fetch("why_record", **scope, kinds=["cash", "trades"], key=own, order_id=None)
    if kind == "fees":
        return tx.fetch("why_fee", **scope, fee_uid=row["fee_uid"], charged_on=row["charged_on"])
    if origin.table in STATEMENT_TABLES:
        own_key = STATEMENT_TABLES[origin.table].key[0]
        return tx.fetch("why_fact", **scope, uid=row[own_key], business_date=row["business_date"])
    return []


def _documents(tx: Transaction, raw: Row, made: Row) -> Iterator[Origin]:
    """The answers that the current version of a raw record came with, and where in their bytes it stands.

    Of a record that holds all rows of a day it is the row that the other one, `made`, was made of.
    """
    own = _own_row(raw["payload"], made)
    words, also = ([raw["record_key"], *_texts(raw["payload"])], []) if own is None else (_texts(own), _values(own))
    for row in tx.fetch("why_documents", load_id=raw["load_id"]):
        place = _find(bytes(row.pop("content")), words, also)
        if place is None:
            continue
        row["at_byte"], row["excerpt"] = place
        yield Origin("raw_documents", row["sha256"], row)


def _own_row(payload: Any, made: Row) -> Any:
    """The row of a record of many that says most of what `made` holds; None if the record is of one row."""
    told = {str(value) for value in made.values() if value is not None}
    rows: list[Any] = (payload.get("rows") if isinstance(payload, dict) else None) or []
    shared = [len(told.intersection(_values(row))) for row in rows]
    return rows[shared.index(max(shared))] if rows else None


def _values(payload: Any) -> list[str]:
    values: list[Any] = list(payload.values()) if isinstance(payload, dict) else []
    return [value for value in values if isinstance(value, str)]


def _texts(payload: Any) -> list[str]:
    """What a record says of itself, the most particular words first."""
    return sorted((value for value in _values(payload) if len(value) > 5), key=len, reverse=True)[:3]


def _find(packed: bytes, words: Sequence[str], also: Sequence[str]) -> tuple[int, str] | None:
    """Where the first of these words that occurs, among all of `also`, stands in the bytes, and the text around it."""
    for needle in chain.from_iterable(_needles(word) for word in words):
        for at, excerpt in _places(packed, needle):
            text = html.unescape(excerpt) if also else excerpt
            if all(word in text for word in also):
                return at, excerpt
    return None


def _places(packed: bytes, needle: bytes) -> Iterator[tuple[int, str]]:
    """Every place of a word, with the text around it, read in parts."""
    kept, start, begin = b"", 0, 0
    unpacker = zlib.decompressobj()
    for offset in range(0, len(packed), _PACKED_CHUNK):
        kept += unpacker.decompress(packed[offset : offset + _PACKED_CHUNK])
        is_last = offset + _PACKED_CHUNK >= len(packed)
        while (found := kept.find(needle, begin)) >= 0 and (is_last or len(kept) - found >= _LONGEST):
            yield start + found, _excerpt(kept, found)
            begin = found + 1
        if found < 0:
            cut = max(0, len(kept) - _LONGEST - len(needle))
            kept, start, begin = kept[cut:], start + cut, max(0, begin - cut)


def _needles(word: str) -> Iterator[bytes]:
    """A word as it stands in XML or JSON, and a number as a protobuf writes it."""
    yield f'"{word}"'.encode()
    yield word.encode()
    if word.isascii() and word.isdigit() and len(word) > 6:
        number, out = int(word), bytearray()
        while number > 0x7F:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        yield bytes((*out, number))


def _excerpt(content: bytes, at: int) -> str:
    """The element around a place in XML, else some text around it; bytes that are no text as escapes."""
    begin, end = content.rfind(b"<", 0, at), content.find(b">", at)
    if begin < 0 or end < 0 or end - begin > _LONGEST:
        begin, end = max(0, at - _BEFORE), min(len(content), at + _AFTER) - 1
    return content[begin : end + 1].decode("utf-8", "backslashreplace")
