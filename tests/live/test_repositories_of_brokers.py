"""What brokers told is found by their own ids, counted exactly, only ever added to, and never deleted."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apex_pipeline.brokers.futu.normalize import normalize
from apex_pipeline.domain.models import Broker, Order, Trade
from apex_pipeline.domain.records import Record, RecordKind
from apex_pipeline.errors import StorageError, UnknownPayload
from apex_pipeline.live import (
    Database,
    FutuDealRepository,
    FutuFeeRepository,
    FutuOrderRepository,
    IbCommissionRepository,
    IbExecutionRepository,
    PositionRepository,
    Store,
    SyncStateRepository,
    TradeRepository,
)
from apex_pipeline.store.repositories.broker_rows import BrokerRows
from apex_pipeline.store.tables import TRADES, RawRow, raw_table
from apex_pipeline.store.transaction import RawMerged
from tests.live import futu_sdk_rows
from tests.live.conftest import Desk
from tests.store.rows import query, value

SDK_ROW = {
    "code": "US.AAPL", "stock_name": "Apple", "order_market": "US", "trd_side": "BUY", "order_type": "NORMAL",
    "order_status": "FILLED_PART", "order_id": "F1", "qty": 3.0, "price": 10.1,
    "create_time": "2026-03-09 09:30:00.123", "updated_time": "2026-03-09 09:31:00", "dealt_qty": 1.0,
    "dealt_avg_price": 10.1, "last_err_msg": "", "remark": "",
    "time_in_force": "DAY", "fill_outside_rth": "N/A", "session": "RTH", "aux_price": "N/A", "trail_type": "N/A",
    "trail_value": "N/A", "trail_spread": "N/A", "currency": "USD", "jp_acc_type": "N/A", "expire_time": "N/A",
    "amount": "N/A", "strategy_type": "N/A", "combo_legs": [],
}  # fmt: skip


def one(url: str, table: str, where: str = "true") -> dict[str, Any]:
    """Some row of a table."""
    text: Any = f"SELECT to_jsonb(t) FROM {table} t WHERE {where} ORDER BY 1 LIMIT 1"
    return value(url, text)


# Orders ------------------------------------------------------------------------------------------------------


def test_orders_of_futu_are_found_by_id_account_days_and_fills(loaded: Desk) -> None:
    repository = FutuOrderRepository(loaded.db)
    orders: list[Order] = repository.find_all(limit=None)
    assert orders
    assert {order.broker for order in orders} == {Broker.FUTU}
    some = orders[0]
    assert repository.find_by_order_id(some.broker_order_id) == some
    assert repository.find_by_order_id("nobody's") is None
    own = [order for order in orders if order.account_id == some.account_id]
    by_account = repository.find_by_account(some.account_id, limit=None)
    assert sorted(by_account, key=str) == sorted(own, key=str)
    assert [order.trade_date for order in by_account] == sorted((o.trade_date for o in own), reverse=True)
    market = [order for order in own if order.market == some.market]
    assert sorted(repository.find_by_account(some.account_id, some.market, None), key=str) == sorted(market, key=str)
    assert len(repository.find_by_account(some.account_id, limit=2)) == 2
    first, last = some.trade_date, some.trade_date + timedelta(days=20)
    within = [order for order in orders if first <= order.trade_date <= last]
    assert sorted(repository.find_by_date_range(first, last), key=str) == sorted(within, key=str)
    filled = [order for order in own if order.filled_qty and order.trade_date >= first]
    assert sorted(repository.find_filled_orders(some.account_id, first), key=str) == sorted(filled, key=str)
    assert 0 < len(filled) <= len(own)


def test_a_repository_of_a_broker_finds_nothing_of_the_other(loaded: Desk) -> None:
    deals, executions = FutuDealRepository(loaded.db), IbExecutionRepository(loaded.db)
    of_ib = next(iter(executions.find_where(limit=1)))
    assert deals.find_by_id(of_ib.trade_uid) is None
    assert deals.find_by_deal_id(of_ib.broker_trade_id) is None
    assert deals.count() + executions.count() == value(loaded.db.url, "SELECT count(*) FROM trades_norm")
    assert not deals.exists(account_id=of_ib.account_id)
    with pytest.raises(ValueError, match="only rows whose broker is FUTU"):
        deals.find_where(broker="IB")


# Deals and fees ----------------------------------------------------------------------------------------------


def test_deals_are_found_by_id_and_order_and_their_volume_is_exact(loaded: Desk) -> None:
    repository = FutuDealRepository(loaded.db)
    deals = repository.find_all(limit=None)
    some = next(deal for deal in deals if deal.order_uid)
    assert repository.find_by_deal_id(some.broker_trade_id) == some
    order = FutuOrderRepository(loaded.db).find_by_id(some.order_uid)
    assert order is not None
    found = repository.find_by_order_id(order.broker_order_id)
    assert some in found
    assert sorted(found, key=str) == sorted((deal for deal in deals if deal.order_uid == some.order_uid), key=str)
    assert repository.find_by_order_id("nobody's") == []
    asked: list[dict[str, Any]] = [{}, {"account": some.account_id}, {"start": some.trade_date, "end": some.trade_date}]
    for told in asked:
        volumes: defaultdict[str, Decimal] = defaultdict(Decimal)
        for deal in deals:
            if deal.effective and is_told(deal, **told):
                volumes[deal.instrument_id or deal.symbol] += deal.qty
        assert repository.get_total_volume_by_code(**told) == volumes
        assert volumes


def is_told(deal: Trade, account: str | None = None, start: Any = None, end: Any = None) -> bool:
    return account in (None, deal.account_id) and (start is None or start <= deal.trade_date <= end)


def test_fees_are_found_by_order_and_their_sums_are_exact(loaded: Desk) -> None:
    repository = FutuFeeRepository(loaded.db)
    fees = repository.find_all(limit=None)
    some = fees[0]
    order = FutuOrderRepository(loaded.db).find_by_id(some.order_uid)
    assert order is not None
    assert some in repository.find_by_order_id(order.broker_order_id)
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for fee in fees:
        sums[fee.currency or ""] += fee.amount
    assert repository.get_total_fees() == sums
    of_account = repository.get_total_fees(some.account_id)
    assert 0 < of_account[some.currency or ""] <= sums[some.currency or ""]
    assert repository.get_total_fees("nobody's") == {}
    assert repository.get_missing_fee_order_ids() == []
    query(loaded.db.url, "DELETE FROM fees_norm WHERE order_uid = %s", order.order_uid)
    assert repository.get_missing_fee_order_ids() == [order.broker_order_id]
    assert repository.get_missing_fee_order_ids(order.account_id) == [order.broker_order_id]
    assert repository.get_missing_fee_order_ids("nobody's") == []


# Interactive Brokers -----------------------------------------------------------------------------------------


def test_executions_are_found_by_id_and_options_by_their_underlying(loaded: Desk) -> None:
    repository = IbExecutionRepository(loaded.db)
    trades = repository.find_all(limit=None)
    some = next(trade for trade in trades if trade.exec_id)
    assert some.exec_id is not None
    assert repository.find_by_exec_id(some.exec_id) == some
    assert repository.find_by_exec_id("nobody's") is None
    option = next(trade for trade in trades if trade.asset_class == "OPTION")
    assert option.underlying is not None
    found = repository.find_options_by_underlying(option.underlying)
    same = [t for t in trades if t.underlying == option.underlying and t.asset_class == "OPTION"]
    assert sorted(found, key=str) == sorted(same, key=str)
    assert repository.find_options_by_underlying(option.underlying, account="nobody's") == []
    assert repository.find_options_by_underlying(option.symbol) == []


def test_executions_are_found_by_permanent_id_also_in_a_later_revision(loaded: Desk) -> None:
    repository = IbExecutionRepository(loaded.db)
    first, other = [trade for trade in repository.find_all(limit=None) if trade.exec_id][:2]
    provisional = BrokerRows(loaded.db, TRADES, Trade, Broker.IB, RecordKind.PROVISIONAL)
    for trade, perm_id in ((first, "77"), (other, "78")):
        root = str(trade.exec_id).rpartition(".")[0]
        told = {"permId": perm_id, "_root": root, "_source": "TWS", "execId": f"{root}.99"}
        provisional.upsert(raw(trade.account_id, f"{root}.99", told, trade))
    assert repository.find_by_perm_id(77) == [first]
    assert repository.find_by_perm_id("77", first.account_id) == [first]
    assert repository.find_by_perm_id("77", "nobody's") == []
    assert repository.find_by_perm_id("7") == []


def raw(account_id: str, key: str, payload: dict[str, Any], of: Trade) -> RawRow:
    assert of.executed_at is not None
    return RawRow(account_id, key, None, of.trade_date, payload, of.executed_at, None, 0)


def test_commissions_are_found_by_execution_and_taxes_are_none_of_them(loaded: Desk) -> None:
    repository = IbCommissionRepository(loaded.db)
    fees = repository.find_all(limit=None)
    some = next(fee for fee in fees if fee.trade_uid)
    trade = IbExecutionRepository(loaded.db).find_by_id(some.trade_uid)
    assert trade is not None
    assert trade.exec_id is not None
    found = repository.find_by_exec_id(trade.exec_id)
    assert sorted(found, key=str) == sorted((fee for fee in fees if fee.trade_uid == some.trade_uid), key=str)
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for fee in fees:
        if fee.trade_uid:
            sums[fee.currency or ""] += fee.amount
    assert repository.get_total_commissions() == sums
    query(
        loaded.db.url,
        "INSERT INTO fees_norm (fee_uid, broker, account_id, fee_type, broker_fee_name, amount, currency, charged_on) "
        "VALUES ('T', 'IB', %s, 'TAX', 'taxes', 9, 'USD', '2026-01-02')",
        some.account_id,
    )
    assert repository.get_total_commissions() == sums
    assert repository.find_by_exec_id("nobody's") == []


# Rows of the SDK ---------------------------------------------------------------------------------------------


def sdk_rows(payloads: list[Any], home: Path) -> list[dict[str, Any]]:
    """What the SDK's own tables say of these orders."""
    told = "".join(json.dumps(one, default=str) + "\n" for one in payloads)
    done = subprocess.run(
        [sys.executable, futu_sdk_rows.__file__],
        input=told,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(home)},
    )
    return [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]


def test_what_the_sdk_tells_of_stored_orders_adds_nothing_and_of_unknown_ones_gives_the_same_orders(
    loaded: Desk, other_url: str, tmp_path: Path
) -> None:
    stored = loaded.db.fetch("SELECT account_id, record_key, business_date, payload FROM orders_raw_futu ORDER BY 1, 2")
    rows = sdk_rows([row["payload"] for row in stored], tmp_path)
    assert len(rows) == len(stored) > 20
    told = [FutuOrderRepository.from_futu_order(row, of["account_id"]) for row, of in zip(rows, stored, strict=True)]
    for made, of in zip(told, stored, strict=True):
        assert (made.record_key, made.order_id, made.business_date) == (of["record_key"],) * 2 + (of["business_date"],)
    assert FutuOrderRepository(loaded.db).upsert_many(told) == RawMerged(0, len(told), 0)
    with Database(other_url) as fresh:
        assert FutuOrderRepository(fresh).upsert_many(told) == RawMerged(len(told), 0, 0)
        assert FutuOrderRepository(fresh).upsert_many(told) == RawMerged(0, len(told), 0)
    for made, of in zip(told, stored, strict=True):
        assert comparable(made.payload, made) == comparable(of["payload"], made)


def comparable(payload: Any, row: RawRow) -> Order:
    """The order of a payload, but for fractions of seconds."""
    record = Record(RecordKind.ORDERS, row.account_id, row.record_key, row.business_date, payload, row.order_id)
    normalized = normalize([record])
    assert not normalized.rejects
    assert not normalized.drifts
    (order,) = normalized.orders
    cut = {
        name: at and at.replace(microsecond=0)
        for name, at in (("created_at", order.created_at), ("updated_at", order.updated_at))
    }
    return replace(order, **cut)


def test_an_order_that_moved_on_becomes_a_version_that_keeps_what_the_sdk_does_not_tell(db: Database) -> None:
    repository = FutuOrderRepository(db)
    made = repository.from_futu_order(SDK_ROW, "1")
    rich = {
        **made.payload,
        "orderID": "55",
        "createTimestamp": Decimal("1773063000.123457"),
        "updateTimestamp": Decimal(1),
    }
    assert repository.insert(replace(made, payload=rich)) is not None
    assert repository.insert(made) is None
    assert repository.upsert(made).payload == rich
    later = {**SDK_ROW, "order_status": "FILLED_ALL", "dealt_qty": 3.0, "updated_time": "2026-03-09 09:45:00"}
    current = repository.upsert(repository.from_futu_order(later, "1", "US")).payload
    assert (current["orderStatus"], current["fillQty"], current["orderID"]) == (11, 3, "55")
    assert current["createTimestamp"] == Decimal("1773063000.123457")
    assert "updateTimestamp" not in current, "it was of the update before"
    versions = Store(db).query_raw_versions("futu", "order", "F1")
    assert [one.payload["orderStatus"] for one in versions] == [11, 10]
    assert db.fetch("SELECT stage, account_id FROM dirty_days") == [{"stage": "normalize", "account_id": "1"}]


def test_what_is_appended_at_once_by_others_is_not_lost(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sdk, rich = FutuOrderRepository(db), FutuOrderRepository(db)
    made = sdk.from_futu_order(SDK_ROW, "1")
    complete, has_read = sdk._completed, threading.Event()  # pyright: ignore[reportPrivateUsage]

    def slowly(record: RawRow) -> RawRow:
        completed = complete(record)
        has_read.set()
        time.sleep(0.3)  # another writer would store in this moment what this one has not seen
        return completed

    monkeypatch.setattr(sdk, "_completed", slowly)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(sdk.upsert, made)
        assert has_read.wait(10)
        told = replace(made, payload={**made.payload, "createTimestamp": Decimal("1773063000.123457")})
        second = pool.submit(rich.upsert, told)
        first.result()
        second.result()
    assert value(db.url, "SELECT payload ->> 'createTimestamp' FROM orders_raw_futu") == "1773063000.123457"


def test_numbers_of_the_sdk_are_stored_exactly_and_its_words_for_nothing_are_not() -> None:
    payload = FutuOrderRepository.from_futu_order({**SDK_ROW, "price": 0.1, "aux_price": float("nan")}, "1").payload
    assert (payload["price"], payload["qty"], payload["trdSide"], payload["secMarket"]) == (Decimal("0.1"), 3, 1, 2)
    assert not any(isinstance(one, float) for one in payload.values())
    assert "N/A" not in payload.values()
    assert "auxPrice" not in payload


def test_a_row_of_pandas_is_taken_and_one_without_an_id_or_a_time_is_refused() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame([SDK_ROW])
    for _, row in table.iterrows():
        assert FutuOrderRepository.from_futu_order(row, "1").payload["qty"] == 3
    for name, said in (("order_id", "without orderIDEx"), ("create_time", "not a time")):
        with pytest.raises(UnknownPayload, match=said):
            FutuOrderRepository.from_futu_order({key: one for key, one in SDK_ROW.items() if key != name}, "1")


# What is appended --------------------------------------------------------------------------------------------


def test_what_is_appended_is_sealed_with_its_bytes_and_moves_no_watermark(loaded: Desk) -> None:
    before = query(loaded.db.url, "SELECT * FROM sync_state ORDER BY 1, 2, 3, 4")
    made = FutuOrderRepository.from_futu_order(SDK_ROW, "281756479000001")
    FutuOrderRepository(loaded.db).upsert(made)
    day = made.business_date
    checks: list[Any] = ["check_raw_records_are_kept_as_received", "check_no_watermark_is_ahead_of_its_data"]
    for check in checks:
        assert loaded.db.fetch(check, from_date=day, to_date=day) == []
    assert query(loaded.db.url, "SELECT * FROM sync_state ORDER BY 1, 2, 3, 4") == before
    load = one(loaded.db.url, "loads", "data_type = 'engine_orders'")
    assert (load["status"], load["records"], load["new_versions"]) == ("COMPLETE", 1, 1)
    assert value(loaded.db.url, "SELECT count(*) FROM raw_observations WHERE load_id = %s", load["load_id"]) == 1
    query(loaded.db.url, "UPDATE orders_raw_futu SET payload = '{}' WHERE record_key = 'F1'")
    assert loaded.db.fetch(checks[0], from_date=day, to_date=day), "what is changed beside it is told"


REPOSITORIES: list[Callable[[Database], BrokerRows[Any]]] = [
    FutuOrderRepository, FutuDealRepository, FutuFeeRepository, IbExecutionRepository, IbCommissionRepository,
]  # fmt: skip


@pytest.mark.parametrize("make", REPOSITORIES)
def test_what_a_broker_told_is_never_deleted(db: Database, make: Callable[[Database], BrokerRows[Any]]) -> None:
    repository = make(db)
    for remove in (
        lambda: repository.delete("x"),
        repository.delete_where,
        lambda: repository.delete_where(account_id="1"),
    ):
        with pytest.raises(StorageError, match=r"^\w+_norm of \w+ are kept for good: [^\n]+$"):
            remove()


def test_a_batch_that_holds_a_wrong_record_appends_nothing(db: Database) -> None:
    repository = FutuOrderRepository(db)
    made = repository.from_futu_order(SDK_ROW, "1")
    wrong: Any = replace(made, record_key=None)
    with pytest.raises(StorageError, match=r"^orders_raw_futu refuses [^\n]+$"):
        repository.upsert_many([made, wrong])
    assert query(db.url, "SELECT FROM orders_raw_futu") == []
    assert query(db.url, "SELECT FROM load_runs") == []
    assert repository.upsert_many([]) == RawMerged(0, 0, 0)


# The record as a whole ---------------------------------------------------------------------------------------


def test_boundaries_are_the_first_and_last_instants_of_every_account(loaded: Desk) -> None:
    told = {
        (b.broker, b.account_id, b.data_type): (b.first_at, b.last_at) for b in Store(loaded.db).get_data_boundaries()
    }
    scanned = query(
        loaded.db.url,
        "SELECT broker, account_id, 'orders', min(created_at), max(created_at) FROM orders_norm GROUP BY 1, 2 "
        "UNION ALL "
        "SELECT broker, account_id, 'trades', min(executed_at), max(executed_at) FROM trades_norm GROUP BY 1, 2 "
        "UNION ALL SELECT broker, account_id, 'fees', min(charged_on)::timestamp AT TIME ZONE 'UTC', "
        "max(charged_on)::timestamp AT TIME ZONE 'UTC' FROM fees_norm GROUP BY 1, 2",
    )
    assert told == {(broker, account, kind): (first, last) for broker, account, kind, first, last in scanned}
    assert {kind for _, _, kind in told} == {"orders", "trades", "fees"}


def test_payloads_are_found_by_the_brokers_own_id(loaded: Desk) -> None:
    store = Store(loaded.db)
    for broker, kind in ((Broker.FUTU, "orders"), (Broker.FUTU, "fees"), (Broker.IB, "trades")):
        row = one(loaded.db.url, raw_table(broker, kind).name)
        found = store.query_raw_payload(broker.lower(), kind, row["record_key"])
        assert found is not None
        assert json.loads(json.dumps(found, default=float)) == row["payload"]
        assert store.query_raw_payload(broker, kind.removesuffix("s"), row["record_key"], row["account_id"]) == found
        assert store.query_raw_payload(broker, kind, row["record_key"], "nobody's") is None
        assert store.query_raw_payload(broker, kind, "nobody's") is None


def test_a_watermark_of_loaded_data_is_moved_by_loads_alone(loaded: Desk) -> None:
    repository = SyncStateRepository(loaded.db)
    row = one(loaded.db.url, "sync_state", "data_type = 'futu_orders' AND last_record_at IS NOT NULL")
    asked = (row["broker"], row["account_id"], "futu_orders")
    state = repository.get_state(*asked)
    assert state is not None
    assert state.last_record_at is not None
    assert repository.update_sync_complete(*asked, last_record_at=state.last_record_at) == state
    assert repository.update_sync_complete(*asked) == state
    for market in ("ALL", "US"):
        with pytest.raises(StorageError, match=r"are stored up to [^\n]+: load them \(apex backfill\)[^\n]+$"):
            repository.update_sync_complete(*asked, market, last_record_at=state.last_record_at + timedelta(seconds=1))
    assert repository.get_state(*asked, "US") == state
    assert not repository.needs_sync(*asked)


# The book and the round trips --------------------------------------------------------------------------------


def test_the_book_and_the_round_trips_answer_as_every_repository_does(loaded: Desk) -> None:
    trips = TradeRepository(loaded.db)
    some = trips.get_recent(1)[0]
    assert trips.find_by_id(some.trade_id) == trips.get_by_id(some.trade_id) == some
    assert trips.count() == len(trips.find_all(limit=None)) > 0
    assert trips.exists(symbol=some.symbol)
    assert some in trips.find_where(account_id=some.account_id, order_by="-entry_date")
    with pytest.raises(ValueError, match="no column 'sybol'; the nearest is 'symbol'"):
        trips.find_where(sybol="x")
    assert PositionRepository(loaded.db).count(status="NONE") == 0
