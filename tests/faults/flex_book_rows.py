"""The rows that must come of a book, column by column, and how the tables differ from them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any

from tests.cli.sql import rows
from tests.faults.flex_book import Book, Booking, Entry
from tests.faults.flex_book_contracts import Contract

Row = Mapping[str, Any]
Rows = dict[str, dict[str, Any]]

EFFECTS = {"O": "OPEN", "C": "CLOSE", "C;O": "CLOSE_OPEN", "": None}
KEYS = {
    "orders_norm": "order_uid",
    "trades_norm": "trade_uid",
    "fees_norm": "fee_uid",
    "instruments": "symbol",
    "cash_movements": "cash_uid",
}
_WIDE = Context(prec=60)


def expected(book: Book) -> dict[str, Rows]:
    """All columns of all rows of the tables in `KEYS`, by their keys."""
    uids = trade_uids(book)
    trades = {uids[id(one)]: _trade(book, one, uids[id(one)]) for one in book.entries}
    members: dict[str, list[Entry]] = {}
    for one in book.entries:
        uid = order_uid(one)
        if uid is not None:
            members.setdefault(uid, []).append(one)
    contracts = {one.contract.name: one.contract for one in book.entries}
    return {
        "orders_norm": {uid: _order(book, uid, some) for uid, some in members.items()},
        "trades_norm": trades,
        "fees_norm": {row["fee_uid"]: row for one in book.entries for row in fee_rows(one, uids[id(one)])},
        "instruments": {name: _instrument(contract) for name, contract in contracts.items()},
        "cash_movements": cash_rows(book),
    }


def order_uid(entry: Entry) -> str | None:
    """The order of an entry; book entries have none."""
    return f"IB_{entry.account}_{entry.instruction.order_id}" if entry.instruction is not None else None


def trade_uids(book: Book) -> dict[int, str]:
    """`trade_uid` by `id()` of the entry; the later of two rows of one execution goes by its transactionID."""
    uids: dict[int, str] = {}
    dealt: set[str] = set()
    for one in sorted(book.entries, key=_number):
        uid = f"IB_{one.account}_{one.exec_id or f'T{one.transaction_id}'}"
        uids[id(one)] = f"IB_{one.account}_T{one.transaction_id}" if uid in dealt else uid
        dealt.add(uid)
    return uids


def _number(entry: Entry) -> int:
    return int(entry.transaction_id)


def _trade(book: Book, one: Entry, uid: str) -> dict[str, Any]:
    contract, size = one.contract, abs(one.signed)
    return {
        "trade_uid": uid, "order_uid": order_uid(one), "broker": "IB", "account_id": one.account,
        "broker_trade_id": one.transaction_id, "exec_id": one.exec_id or None, "market": contract.market,
        "symbol": contract.name, "underlying": contract.underlying, "asset_class": contract.asset_class,
        "kind": one.kind, "effective": book.is_effective(one), "side": "BUY" if one.signed > 0 else "SELL",
        "qty": size, "price": one.price, "multiplier": contract.multiplier,
        "amount": _WIDE.multiply(_WIDE.multiply(size, one.price), contract.multiplier),
        "currency": contract.currency, "executed_at": one.at.astimezone(UTC), "trade_date": one.trade_date,
        "settle_date": one.settle_date, "position_effect": EFFECTS[one.effect], "link_id": one.link,
        "source": "FLEX",
        "report_date": one.report_date, "instrument_id": contract.conid,
    }  # fmt: skip


def _order(book: Book, uid: str, members: Iterable[Entry]) -> dict[str, Any]:
    ordered = sorted(members, key=lambda one: (one.at, _number(one)))
    counted = [one for one in ordered if book.is_effective(one)]
    lead = (counted or ordered)[0]
    own = next(one for one in ordered if one.kind != "CANCEL")
    instruction, contract = lead.instruction, lead.contract
    assert instruction is not None
    filled = sum((abs(one.signed) for one in counted), Decimal(0))
    told = {EFFECTS[one.effect] for one in counted or [lead]}
    effect = told.pop() if len(told) == 1 else ("CLOSE_OPEN" if told == {"OPEN", "CLOSE"} else None)
    placed = instruction.placed
    return {
        "order_uid": uid, "broker": "IB", "account_id": lead.account, "broker_order_id": instruction.order_id,
        "market": contract.market, "symbol": contract.name, "underlying": contract.underlying,
        "asset_class": contract.asset_class, "side": "BUY" if own.signed > 0 else "SELL", "position_effect": effect,
        "order_type": instruction.kind or None, "status": "FILLED" if filled else "CANCELLED", "broker_status": None,
        "qty": filled, "filled_qty": filled, "limit_price": None, "avg_price": _average(counted),
        "currency": contract.currency, "multiplier": contract.multiplier,
        "created_at": placed.astimezone(UTC) if placed else None,
        "updated_at": max(one.at for one in ordered).astimezone(UTC),
        "trade_date": min(one.trade_date for one in ordered), "combo_id": lead.link, "legs": None,
        "declared_strategy": None, "remark": instruction.reference or None, "source": "ib_executions",
    }  # fmt: skip


def _average(counted: Iterable[Entry]) -> Decimal | None:
    """The weighted price, to twelve places."""
    pairs = [(Fraction(abs(one.signed)), Fraction(one.price)) for one in counted]
    if not pairs:
        return None
    value = sum((size * price for size, price in pairs), Fraction(0)) / sum((size for size, _ in pairs), Fraction(0))
    exact = _WIDE.divide(Decimal(value.numerator), Decimal(value.denominator))
    return exact.quantize(Decimal("1E-12"), ROUND_HALF_EVEN)


def fee_rows(one: Entry, uid: str) -> list[dict[str, Any]]:
    """The commission and the tax of an entry, positive when paid."""
    told: list[tuple[str, str, Decimal, str, str | None]] = []
    if one.commission is not None and (one.commission or not (one.booked or one.kind == "CANCEL")):
        told.append(("COMMISSION", "ibCommission", -one.commission, one.commission_currency, uid))
    if one.taxes:
        told.append(("TAX", "taxes", -one.taxes, one.contract.currency, None))
    return [
        {
            "fee_uid": f"IB_{one.account}_{one.transaction_id}_{kind}", "order_uid": order_uid(one),
            "trade_uid": trade, "broker": "IB", "account_id": one.account, "fee_type": kind, "broker_fee_name": name,
            "amount": amount, "currency": currency, "charged_on": one.trade_date,
        }
        for kind, name, amount, currency, trade in told
    ]  # fmt: skip


def _instrument(contract: Contract) -> dict[str, Any]:
    return {
        "symbol": contract.name, "underlying": contract.underlying, "asset_class": contract.asset_class,
        "strike": contract.strike, "expiry": contract.expiry, "option_right": contract.right or None,
        "multiplier": contract.multiplier, "currency": contract.currency, "exchange": contract.listing or None,
        "name": contract.description, "futu_code": None, "ib_symbol": contract.symbol,
        "ib_conid": contract.conid,
    }  # fmt: skip


def cash_rows(book: Book) -> Rows:
    """Every movement of cash that is not a trade's own: cash transactions, and both legs of each conversion."""
    told = [_cash_row(one) for one in book.bookings]
    told += [row for one in book.entries if one.contract.category == "CASH" for row in _legs(one)]
    return {row["cash_uid"]: row for row in told}


def _cash_row(one: Booking) -> dict[str, Any]:
    return {
        "cash_uid": f"IB_{one.account}_C{one.transaction_id}", "broker": "IB", "account_id": one.account,
        "broker_cash_id": one.transaction_id, "kind": one.kind, "broker_kind": one.words,
        "symbol": one.contract.name if one.contract else None, "amount": one.amount, "currency": one.currency,
        "booked_on": one.report_date, "settle_date": one.settle_date, "event_date": one.ex_date,
        "description": one.description, "source": "FLEX",
    }  # fmt: skip


def _legs(one: Entry) -> list[dict[str, Any]]:
    """What a conversion, or the cancel of one, moves in each of its currencies."""
    base, quote = one.contract.symbol.split(".")
    moved = {"BASE": (one.signed, base), "QUOTE": (-one.signed * one.price, quote)}
    return [
        {
            "cash_uid": f"IB_{one.account}_T{one.transaction_id}_{leg}", "broker": "IB", "account_id": one.account,
            "broker_cash_id": f"{one.transaction_id}_{leg}", "kind": "FX", "broker_kind": one.transaction_type,
            "symbol": one.contract.name, "amount": amount, "currency": currency, "booked_on": one.report_date,
            "settle_date": one.settle_date, "event_date": one.trade_date, "description": one.contract.description,
            "source": "FLEX",
        }
        for leg, (amount, currency) in moved.items()
    ]  # fmt: skip


def differences(url: str, book: Book) -> list[str]:
    """How the tables in `KEYS` differ from the book, in any row and any column; empty if nowhere."""
    found: list[str] = []
    for table, should in expected(book).items():
        have = {row[KEYS[table]]: row for row in rows(url, f"SELECT * FROM {table}")}
        found += _columns(url, table, next(iter(should.values()), {}))
        found += _compare(table, should, have)
    for row in rows(url, "SELECT * FROM quarantine WHERE resolved_at IS NULL"):
        found.append(f"quarantine holds {row['broker_key']}: {row['reason_code']} {row['reason']}")
    return found


def require_none(found: list[str], most: int = 8) -> None:
    """Fail with the first differences, if there are any."""
    counts = dict(Counter(one.split(" ", 1)[0] for one in found))
    assert not found, "\n".join([f"{counts}", *found[:most]])


def _columns(url: str, table: str, row: Row) -> list[str]:
    text = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
    have = {told["column_name"] for told in rows(url, text, (table,))}
    return [f"{table}.{name}: not compared" for name in sorted(have - row.keys() if row else ())] + [
        f"{table}.{name}: there is no such column" for name in sorted(row.keys() - have)
    ]


def _compare(table: str, should: Mapping[str, Row], have: Mapping[str, Row]) -> list[str]:
    told = [f"{table} {key} is missing: {dict(should[key])}" for key in sorted(should.keys() - have.keys())]
    told += [f"{table} {key} should not be: {dict(have[key])}" for key in sorted(have.keys() - should.keys())]
    for key in sorted(should.keys() & have.keys()):
        both = [name for name in should[key] if name in have[key]]
        wrong = {name: (have[key][name], should[key][name]) for name in both if have[key][name] != should[key][name]}
        if wrong:
            told.append(f"{table} {key}: (held, true) {wrong}")
    return told
