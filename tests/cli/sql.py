"""Reads tables as an outsider would: a connection of its own and plain SQL."""

from collections.abc import Sequence
from typing import Any

import psycopg2
import psycopg2.extras

BUSINESS = {
    "orders_norm": "order_uid",
    "trades_norm": "trade_uid",
    "fees_norm": "fee_uid",
    "instruments": "symbol",
    "order_strategy_map": "order_uid, strategy_uid",
    "orders_raw_futu": "account_id, record_key",
    "trades_raw_futu": "account_id, record_key",
    "fees_raw_futu": "account_id, record_key",
    "orders_raw_ib": "account_id, record_key",
    "trades_raw_ib": "account_id, record_key",
    "fees_raw_ib": "account_id, record_key",
    "quarantine": "quarantine_uid",
}
"""Tables that hold business rows, and their keys."""

_OF_A_LOAD = {"load_id", "fetched_at", "received_at", "first_seen_at", "last_seen_at", "seq", "version_id"}
"""Columns that name a load or the time of one, which differ between two databases with the same rows."""


def rows(url: str, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The rows of a query."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(query, parameters)
            return [dict(row) for row in cursor.fetchall()]
    finally:
        connection.close()


def business_rows(url: str) -> dict[str, list[dict[str, Any]]]:
    """Every business row without what only says when it was loaded."""
    return {
        table: [
            {name: value for name, value in row.items() if name not in _OF_A_LOAD}
            for row in rows(url, f"SELECT * FROM {table} ORDER BY {key}")
        ]
        for table, key in BUSINESS.items()
    }


def written_rows(url: str) -> dict[str, list[tuple[str, ...]]]:
    """The physical version of every business row: it changes whenever a row is written, even with equal values."""
    return {
        table: [
            tuple(row.values()) for row in rows(url, f"SELECT xmin::text, ctid::text FROM {_base(table)} ORDER BY 2")
        ]
        for table in BUSINESS
    }


def _base(table: str) -> str:
    return table
