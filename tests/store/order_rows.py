"""Orders, their trades and fees as a test of checks needs them, at either broker, with the raw records behind them."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString

from psycopg2 import sql

from apex_pipeline.domain.models import (
    AssetClass,
    Broker,
    Fee,
    FeeAllocation,
    FeeType,
    Instrument,
    OptionRight,
    Order,
    OrderStatus,
    Side,
    Trade,
    TradeKind,
)
from apex_pipeline.domain.reconciliation import Finding
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import FEE_ALLOCATIONS, FEES, INSTRUMENTS, ORDERS, TRADES, RawRow, as_row, raw_table
from tests.store.check_rows import at, loaded
from tests.store.rows import connected, query

FUTU, IB = Broker.FUTU, Broker.IB
ACCOUNTS = {FUTU: "100", IB: "U1"}
SYMBOL, CODE = "US.AAPL", "US.AAPL"
CALL, PUT = "US.AAPL 2026-03-06 C 200", "US.AAPL 2026-03-06 P 190"
CODES = {SYMBOL: CODE, CALL: "US.AAPL260306C200000", PUT: "US.AAPL260306P190000"}
SPREAD = [{"symbol": CALL, "side": "BUY", "ratio": 1}, {"symbol": PUT, "side": "SELL", "ratio": 2}]
MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (date(2026, 3, day) for day in (2, 3, 4, 5))
CREATED = timedelta(minutes=1)
TABLES = {Order: ORDERS, Trade: TRADES, Fee: FEES, FeeAllocation: FEE_ALLOCATIONS, Instrument: INSTRUMENTS}


def num(value: int | str) -> Decimal:
    """An exact number."""
    return Decimal(value)


def uid(name: str, broker: Broker = FUTU) -> str:
    """The uid of an order or trade by its number at the broker."""
    return f"{broker}_{ACCOUNTS[broker]}_{name}"


def instrument(symbol: str) -> Instrument:
    """A stock, or an option of 100 of it."""
    option = symbol != SYMBOL
    return Instrument(
        symbol=symbol, underlying=SYMBOL, asset_class=AssetClass.OPTION if option else AssetClass.STOCK,
        strike=num(200) if option else None, expiry=date(2026, 3, 6) if option else None,
        option_right=OptionRight.CALL if option else None, multiplier=num(100 if option else 1), currency="USD",
        exchange=None, name=None, futu_code=CODES.get(symbol, symbol), ib_symbol=None, ib_conid=None,
    )  # fmt: skip


def order(name: str, filled: int | str | None, on: date = MONDAY, broker: Broker = FUTU, **values: Any) -> Order:
    """An order of stock that was filled within a minute, at 10."""
    size = None if filled is None else num(filled)
    combined = values.get("legs") is not None
    usual: dict[str, Any] = {
        "order_uid": uid(name, broker), "broker": broker, "account_id": ACCOUNTS[broker], "broker_order_id": name,
        "market": "US", "symbol": "US.SPREAD" if combined else SYMBOL, "underlying": SYMBOL,
        "asset_class": AssetClass.COMBO if combined else AssetClass.STOCK, "side": Side.BUY, "position_effect": None,
        "order_type": "NORMAL", "status": OrderStatus.FILLED, "broker_status": "FILLED_ALL", "qty": size,
        "filled_qty": size, "limit_price": None, "avg_price": num(10), "currency": "USD",
        "multiplier": num(100 if combined else 1), "created_at": at(on), "updated_at": at(on) + CREATED,
        "trade_date": on, "combo_id": None, "legs": None, "declared_strategy": None, "remark": None,
        "source": "futu_orders" if broker is FUTU else "ib_executions",
    }  # fmt: skip
    return Order(**(usual | values))


def deal(
    name: str, of: str | None, qty: int | str, price: int | str = 10, on: date = MONDAY, broker: Broker = FUTU,
    **values: Any,
) -> Trade:  # fmt: skip
    """A trade of an order; a negative quantity sells."""
    size, symbol = abs(num(qty)), values.get("symbol", SYMBOL)
    option = symbol != SYMBOL
    multiplier = num(100 if option else 1)
    usual: dict[str, Any] = {
        "trade_uid": uid(name, broker), "order_uid": None if of is None else uid(of, broker), "broker": broker,
        "account_id": ACCOUNTS[broker], "broker_trade_id": name, "exec_id": None, "market": "US", "symbol": symbol,
        "underlying": SYMBOL, "asset_class": AssetClass.OPTION if option else AssetClass.STOCK,
        "kind": TradeKind.TRADE, "effective": True, "side": Side.BUY if num(qty) > 0 else Side.SELL, "qty": size,
        "price": num(price), "multiplier": multiplier, "amount": size * num(price) * multiplier, "currency": "USD",
        "executed_at": at(on), "trade_date": on, "settle_date": None, "position_effect": None, "link_id": None,
        "source": "futu_deals" if broker is FUTU else "FLEX", "report_date": None, "instrument_id": CODES.get(symbol),
    }  # fmt: skip
    return Trade(**(usual | values))


def fee(name: str, of: str, amount: int | str, on: date = MONDAY, broker: Broker = FUTU, **values: Any) -> Fee:
    """A part of the fee of an order; of IB one that names its trade by `trade`."""
    trade = values.pop("trade", None)
    usual: dict[str, Any] = {
        "fee_uid": f"{uid(of, broker)}_1_{name}", "order_uid": uid(of, broker),
        "trade_uid": None if trade is None else uid(trade, broker), "broker": broker, "account_id": ACCOUNTS[broker],
        "fee_type": FeeType.COMMISSION, "broker_fee_name": name, "amount": num(amount), "currency": "USD",
        "charged_on": on,
    }  # fmt: skip
    return Fee(**(usual | values))


def share(of: Fee, trade: str, amount: int | str) -> FeeAllocation:
    """What a trade bears of a fee."""
    return FeeAllocation(of.fee_uid, uid(trade, of.broker), of.broker, of.account_id, num(amount))


def write(db: Database, *rows: Any) -> None:
    """Write rows to the tables of their classes."""
    with db.transaction() as tx:
        for cls in dict.fromkeys(type(row) for row in rows):
            tx.merge(TABLES[cls], [as_row(row) for row in rows if type(row) is cls])


def raw(
    db: Database, kind: str, key: str, payload: Mapping[str, Any], on: date = MONDAY, broker: Broker = FUTU,
    order_id: str | None = None, fetched_at: datetime | None = None,
) -> None:  # fmt: skip
    """The raw record of an order, deal or fee; told again, it becomes its next version."""
    load = loaded(db, broker, kind, on, on)
    told = fetched_at or at(on, 22)
    record = RawRow(ACCOUNTS[broker], key, order_id or key, on, payload, told, None, load)
    with db.transaction() as tx:
        tx.merge(raw_table(broker, kind), [as_row(record)])


def told_fee(
    db: Database, of: str, total: str | None, parts: Sequence[tuple[str, str]] = (), on: date = MONDAY
) -> None:
    """What Futu tells of the fee of an order; numbers as they are in its answer."""
    payload: dict[str, Any] = {"orderIDEx": of, "feeList": [{"title": t, "value": float(v)} for t, v in parts]}
    raw(db, "fees", of, payload if total is None else payload | {"feeAmount": float(total)}, on)


def load(db: Database, data_type: str, first: date, last: date, *, covered: bool = True, note: str = "") -> None:
    """A load of Futu, and the days that it covers."""
    number = query(
        db.url,
        "WITH run AS (INSERT INTO load_runs (broker, from_date, to_date, started_at) "
        "VALUES ('FUTU', %s, %s, now()) RETURNING run_id) "
        "INSERT INTO loads (run_id, broker, data_type, account_id, market, from_date, to_date, status, started_at, "
        "finished_at, notes) SELECT run_id, 'FUTU', %s, %s, 'ALL', %s, %s, 'COMPLETE', now(), now(), %s FROM run "
        "RETURNING load_id",
        first, last, data_type, ACCOUNTS[FUTU], first, last, [note] if note else [],
    )[0][0]  # fmt: skip
    if covered:
        text: LiteralString = "INSERT INTO load_coverage VALUES (%s, 'FUTU', %s, %s, 'ALL', %s, %s, 0, now())"
        query(db.url, text, number, ACCOUNTS[FUTU], data_type, first, last)


def quarantined(db: Database, kind: str, key: str, broker: Broker = FUTU) -> None:
    """An open entry of the quarantine."""
    text: LiteralString = (
        "INSERT INTO quarantine VALUES (%s, 'normalize', %s, %s, %s, %s, NULL, 'unknown_side', 'a side of 99', '{}', "
        "NULL, now())"
    )
    query(db.url, text, f"Q_{kind}_{key}", broker, kind, ACCOUNTS[broker], key)


def set_right(db: Database, finding: Finding) -> None:
    """Make the changes that a finding says would make its sides agree."""
    with connected(db.url) as connection, connection.cursor() as cursor:
        for change in finding.evidence["set_right"]:
            table, row = sql.Identifier(change["table"]), change.get("row", {})
            where = sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))
                for name, value in change.get("key", {}).items()
            )
            if change["do"] == "insert":
                text = sql.SQL("INSERT INTO {0} SELECT * FROM jsonb_populate_record(NULL::{0}, {1})").format(
                    table, sql.Literal(json.dumps(row))
                )
            elif change["do"] == "update":
                values = sql.SQL(", ").join(
                    sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in row.items()
                )
                text = sql.SQL("UPDATE {} SET {} WHERE {}").format(table, values, where)
            else:
                text = sql.SQL("DELETE FROM {} WHERE {}").format(table, where)
            cursor.execute(text)
            assert cursor.rowcount == 1, change


def names(finding: Finding) -> list[str]:
    """The rows that a finding names."""
    rows: list[str] = finding.evidence["rows"]
    assert len(rows) == len(set(rows)) <= 20
    return rows
