"""A long history of orders with their trades and fees, in which everything agrees, as lines of COPY.

The rows come from a seeded generator: both brokers, two accounts of each, orders that were filled at once, in several
trades, on two days, in part or not at all, and combinations. Futu charges an order, Interactive Brokers an execution.
"""

import json
import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, LiteralString

from apex_pipeline.store.db import Database
from bench.ledger import copy, run

FIRST, DAYS, SYMBOLS, SEED, PART = date(2016, 1, 4), 2_500, 300, 7, 50_000
ACCOUNTS = (("FUTU", "281"), ("IB", "U1"), ("FUTU", "282"), ("IB", "U2"))
COLUMNS: dict[LiteralString, LiteralString] = {
    "orders_norm": (
        "order_uid, broker, account_id, broker_order_id, market, symbol, underlying, asset_class, side, order_type, "
        "status, broker_status, qty, filled_qty, avg_price, currency, multiplier, created_at, updated_at, trade_date, "
        "legs, source"
    ),
    "trades_norm": (
        "trade_uid, order_uid, broker, account_id, broker_trade_id, exec_id, market, symbol, underlying, asset_class, "
        "kind, effective, side, qty, price, multiplier, amount, currency, executed_at, trade_date, source"
    ),
    "fees_norm": (
        "fee_uid, order_uid, trade_uid, broker, account_id, fee_type, broker_fee_name, amount, currency, charged_on"
    ),
}
FUTU_FEES = {"COMMISSION": "Commission", "PLATFORM": "Platform Fee", "SETTLEMENT": "Settlement Fee"}
COVERED = """
TRUNCATE load_coverage;
INSERT INTO load_runs (broker, from_date, to_date, started_at) VALUES ('FUTU', '2016-01-01', '2024-01-01', now());
INSERT INTO loads (run_id, broker, data_type, account_id, market, from_date, to_date, status, started_at, finished_at)
SELECT run_id, 'FUTU', 'futu_' || kind, account, 'ALL', '2016-01-01', '2024-01-01', 'COMPLETE', now(), now()
FROM load_runs, unnest(ARRAY['orders', 'deals', 'fees']) AS kind, unnest(ARRAY['281', '282']) AS account;
INSERT INTO load_coverage
SELECT load_id, broker, account_id, data_type, market, d::date, d::date + 88, 0, now()
FROM loads, generate_series(from_date, to_date, interval '89 days') AS d
"""
"""Futu's history was loaded in windows, as it always is."""

Row = dict[str, Any]
Lines = dict[LiteralString, list[str]]


def fill(db: Database, trades: int) -> dict[LiteralString, int]:
    """Copy the history in; returns the rows by table."""
    count = dict.fromkeys(COLUMNS, 0)
    with db.transaction() as tx:
        run(tx, "TRUNCATE orders_norm, trades_norm, fees_norm, load_coverage")
        run(tx, COVERED)
        for lines in parts(trades):
            for table, columns in COLUMNS.items():
                copy(tx, f"COPY {table} ({columns}) FROM STDIN", lines[table])
            for table, some in lines.items():
                count[table] += len(some)
    with db.autocommit() as cursor:
        cursor.execute("VACUUM ANALYZE orders_norm, trades_norm, fees_norm, loads, load_coverage")
    return count


def parts(trades: int) -> Iterator[Lines]:
    """The lines of all tables, some ten thousands of trades at a time."""
    chance = random.Random(SEED)
    lines: Lines = {table: [] for table in COLUMNS}
    done = number = 0
    while done < trades:
        before = len(lines["trades_norm"])
        day = FIRST + timedelta(done * DAYS // trades)
        for table, row in order_rows(chance, number, day):
            cells = (row.get(column.strip(), "\\N") for column in COLUMNS[table].split(","))
            lines[table].append("\t".join(map(str, cells)) + "\n")
        number += 1
        done += len(lines["trades_norm"]) - before
        if len(lines["trades_norm"]) >= PART or done >= trades:
            yield lines
            lines = {table: [] for table in COLUMNS}


def order_rows(chance: random.Random, number: int, day: date) -> Iterator[tuple[LiteralString, Row]]:
    """One order and what belongs to it, as (table, row)."""
    broker, account = ACCOUNTS[number % len(ACCOUNTS)]
    is_combined = broker == "FUTU" and chance.random() < 0.1
    stock, side = f"US.S{chance.randrange(SYMBOLS):04d}", chance.choice(("BUY", "SELL"))
    shared = {
        "order_uid": f"{broker}_{account}_{number:09d}", "broker": broker, "account_id": account, "market": "US",
        "underlying": stock, "currency": "USD", "trade_date": day,
    }  # fmt: skip
    units = 0 if broker == "FUTU" and chance.random() < 0.05 else chance.randrange(1, 500)
    trades = list(trade_rows(chance, shared, side, units, combined=is_combined)) if units else []
    legs = [{"symbol": f"{stock} C {strike}", "side": side, "ratio": 1} for strike in (100, 110)]
    filled, size = sum(trade["qty"] for trade in trades), 2 if is_combined else 1
    paid = sum(trade["qty"] * trade["price"] for trade in trades)
    yield "orders_norm", shared | {
        "broker_order_id": f"{number:09d}", "symbol": f"{stock} COMBO" if is_combined else stock, "side": side,
        "asset_class": "COMBO" if is_combined else "STOCK", "order_type": "LIMIT",
        "status": "FILLED" if units else "CANCELLED", "broker_status": "FILLED_ALL" if units else "CANCELLED_ALL",
        "qty": max(filled // size, 1), "filled_qty": filled // size,
        "avg_price": round(paid * size / filled, 3 if broker == "FUTU" else 8) if units else "\\N",
        "multiplier": 100 if is_combined else 1, "created_at": f"{day} 15:00:00+00",
        "updated_at": f"{trades[-1]['trade_date'] if trades else day} 16:00:00+00",
        "legs": json.dumps(legs) if is_combined else "\\N",
        "source": "futu_orders" if broker == "FUTU" else "ib_executions",
    }  # fmt: skip
    for trade in trades:
        yield "trades_norm", trade
    for row in fee_rows(chance, shared, trades):
        yield "fees_norm", row


def trade_rows(chance: random.Random, shared: Row, side: str, units: int, *, combined: bool) -> Iterator[Row]:
    """What filled an order: one to three trades near one price, now and then a day later; of every leg."""
    often = chance.choice((1, 1, 1, 1, 1, 1, 2, 2, 3))
    day: date = shared["trade_date"]
    first = Decimal(chance.randrange(1_000, 50_000)) / 100
    for n in range(often):
        on = day + timedelta(1) if n == 2 and chance.random() < 0.1 else day
        for strike in (100, 110) if combined else (None,):
            number = f"{shared['order_uid'][-9:]}{n}{strike or ''}"
            price = first + Decimal(chance.randrange(3)) / 100
            yield shared | {
                "trade_uid": f"{shared['broker']}_{shared['account_id']}_{number}", "broker_trade_id": number,
                "exec_id": f"{number}.01.01", "asset_class": "OPTION" if combined else "STOCK", "kind": "TRADE",
                "symbol": f"{shared['underlying']} C {strike}" if combined else shared["underlying"],
                "effective": "t", "side": side, "qty": units + n, "price": price, "multiplier": 100 if combined else 1,
                "amount": (units + n) * price * (100 if combined else 1), "trade_date": on,
                "executed_at": f"{on} 15:{chance.randrange(60):02d}:{chance.randrange(60):02d}+00",
                "source": "futu_deals" if shared["broker"] == "FUTU" else "FLEX",
            }  # fmt: skip


def fee_rows(chance: random.Random, shared: Row, trades: list[Row]) -> Iterator[Row]:
    """Three parts of a fee for an order of Futu, a commission for an execution of Interactive Brokers."""
    if shared["broker"] == "IB":
        charged = [(trade, "COMMISSION", "ibCommission") for trade in trades]
    else:
        charged = [(trades[-1], kind, name) for kind, name in FUTU_FEES.items()] if trades else []
    for trade, kind, name in charged:
        of = trade["trade_uid"] if shared["broker"] == "IB" else "\\N"
        yield shared | {
            "fee_uid": f"{trade['trade_uid']}_{kind}", "trade_uid": of, "fee_type": kind, "broker_fee_name": name,
            "amount": Decimal(chance.randrange(1, 300)) / 100, "charged_on": trade["trade_date"],
        }  # fmt: skip
