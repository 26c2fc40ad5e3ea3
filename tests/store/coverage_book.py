"""What loads leave behind, as tests of checks need it: runs, loads, covered days, received documents, raw records."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.models import AssetClass, Broker, Order, OrderStatus, Trade
from apex_pipeline.store.copy_text import to_json
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import ORDERS, TRADES, RawRow, as_row, raw_table
from tests.store import check_rows
from tests.store.rows import query, value

IB, FUTU = "U1", "100"
WEB: Mapping[str, Any] = {"service": "GetStatement", "fd": "20260302", "td": "20260306"}
FILE: Mapping[str, Any] = {"service": "file", "file": "a.xml"}
Span = tuple[date, date]


def moment(day: date, hour: int = 12) -> datetime:
    """An instant of a day, UTC."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def broker_of(account: str) -> Broker:
    return Broker.IB if account.startswith("U") else Broker.FUTU


def loaded(db: Database, data_type: str, asked: Span, **values: Any) -> int:
    """The id of a complete load of these days; `wanted` are those of its run, `account_id` whom it asked about."""
    broker = Broker.FUTU if data_type.startswith("futu") else Broker.IB
    first, last = values.pop("wanted", asked)
    text = "INSERT INTO load_runs (broker, from_date, to_date, started_at) VALUES (%s, %s, %s, now()) RETURNING run_id"
    run = values.pop("run_id", None) or value(db.url, text, broker, first, last)
    told: dict[str, Any] = {
        "account_id": None, "market": "ALL", "status": "COMPLETE", "finished_at": datetime.now(UTC), "records": 0,
        "error": None, "notes": [], **values,
    }  # fmt: skip
    text = (
        "INSERT INTO loads (run_id, broker, data_type, account_id, market, from_date, to_date, status, started_at, "
        "finished_at, records, unchanged, error, notes) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING load_id"
    )
    names = ("account_id", "market")
    return value(
        db.url, text, run, broker, data_type, *(told[name] for name in names), *asked, told["status"],
        told["finished_at"], told["finished_at"], told["records"], told["records"], told["error"], told["notes"],
    )  # fmt: skip


def covers(db: Database, load: int, account: str, days: Span, **values: Any) -> None:
    """Say that a load told everything of these days, and move the watermark, as the pipeline does."""
    data_type = values.get("data_type") or value(db.url, "SELECT data_type FROM loads WHERE load_id = %s", load)
    market, records = values.get("market", "ALL"), values.get("records", 0)
    text = "INSERT INTO load_coverage VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
    covered_at = values.get("covered_at") or datetime.now(UTC)
    query(db.url, text, load, broker_of(account), account, data_type, market, *days, records, covered_at)
    with db.transaction() as tx:
        scope = {"broker": broker_of(account), "account_id": account, "data_type": data_type, "market": market}
        tx.execute("sync_state_move", **scope, records=records, last_record_at=values.get("watermark"))


def received(db: Database, load: int, request: Mapping[str, Any], interface: str = "flex", **values: Any) -> int:
    """The id of the observation of an answer that a load received."""
    at = values.get("received_at") or datetime.now(UTC)
    text = (
        "WITH document AS (INSERT INTO raw_documents (sha256, media_type, byte_size, content, first_received_at) "
        "VALUES (%s, 'text/plain', 1, 'x', %s) RETURNING document_id) "
        "INSERT INTO raw_observations (load_id, document_id, broker, interface, request, received_at) "
        "SELECT %s, document_id, %s, %s, %s, %s FROM document RETURNING observation_id"
    )
    sha256 = hashlib.sha256(f"{load} {at} {request}".encode()).hexdigest()
    broker = Broker.IB if interface in ("flex", "tws") else Broker.FUTU
    return value(db.url, text, sha256, at, load, broker, interface, to_json(dict(request)), at)


def told(db: Database, asked: Span, days: Span | None = None, *accounts: str, **values: Any) -> int:
    """The id of a load of the web service, that asked for some days and was told `days` (all of them if None)."""
    load = loaded(db, "ib_flex", asked, **values)
    received(db, load, WEB)
    for account in accounts or (IB,):
        covers(db, load, account, days or asked)
    return load


def asked_futu(db: Database, data_type: str, days: Span, **values: Any) -> int:
    """The id of a load of a Futu account that covers what was asked for."""
    covered = values.pop("covered", days)
    market = values.get("market", "ALL")
    load = loaded(db, data_type, days, account_id=FUTU, **values)
    received(db, load, {}, "Trd_Any")
    covers(db, load, FUTU, covered, market=market, records=values.get("records", 0))
    return load


def fees_asked(db: Database, day: date, ids: Sequence[str], answers: int, **values: Any) -> int:
    """The id of a load that asked for the fees of orders, and was told so many."""
    load = loaded(db, "futu_fees", (day, day), account_id=FUTU, records=answers)
    request = {"c2s": {"header": {"accID": FUTU}, "orderIdExList": list(ids)}}
    received(db, load, request, "Trd_GetOrderFee", **{"received_at": moment(day + timedelta(days=30)), **values})
    covers(db, load, FUTU, (day, day), records=answers)
    return load


def order(key: str, on: date, filled: int = 10, **values: Any) -> Order:
    """An order of Futu."""
    usual: dict[str, Any] = {
        "order_uid": f"FUTU_{FUTU}_{key}", "broker": Broker.FUTU, "account_id": FUTU, "broker_order_id": key,
        "asset_class": AssetClass.STOCK, "status": OrderStatus.FILLED, "qty": Decimal(10),
        "filled_qty": Decimal(filled), "trade_date": on, "created_at": moment(on), "updated_at": moment(on),
        "source": "futu_orders",
    }  # fmt: skip
    return check_rows.made(Order, **(usual | values))


def write(db: Database, *rows: Order | Trade) -> None:
    """Write orders and trades."""
    with db.transaction() as tx:
        for row in rows:
            tx.merge(ORDERS if isinstance(row, Order) else TRADES, [as_row(row)])


def raw(db: Database, load: int, kind: str, account: str, key: str, day: date, **values: Any) -> None:
    """A record as a load told it; a differing one of the same key becomes an earlier version, as in the pipeline."""
    payload: Mapping[str, Any] = values.get("payload", {})
    row = RawRow(
        account, key, values.get("order_id"), day, payload, datetime.now(UTC), values.get("generated_at"), load
    )
    with db.transaction() as tx:
        tx.merge_raw(raw_table(broker_of(account), kind), [as_row(row)], broker_of(account), load)


def statement(
    db: Database, load: int, days: Span, generated_at: datetime, *sections: str, query_name: str = "q"
) -> None:
    """The record that says which days and sections a statement of the IB account tells."""
    first, last = days
    payload = {"_section": "_query", "query": query_name, "sections": {name: ["a"] for name in sections}}
    key = f"_query/{query_name}/{first}/{last}"
    raw(db, load, "sections", IB, key, last, payload=payload, generated_at=generated_at)


def session(db: Database, day: date, *, is_session: bool, calendar: str = "XNYS") -> None:
    """Say whether an exchange trades on a day."""
    query(db.url, "INSERT INTO market_days VALUES (%s, %s, %s, %s, NULL, NULL)", calendar, day, is_session, is_session)
