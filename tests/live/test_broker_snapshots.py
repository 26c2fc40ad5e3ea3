"""What the brokers hold now is captured from them directly, each by itself, and equals the ledger."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.brokers.ib.simulator_tws import GatewaySimulator
from apex_pipeline.domain.snapshots import positions_hash
from apex_pipeline.errors import BrokerUnavailable
from apex_pipeline.live import AccountSnapshotRepository, PositionSnapshotRepository
from apex_pipeline.live.broker_snapshots import capture_broker, capture_ledger, tells_of_today, value_portfolios
from apex_pipeline.live.warm_start import WarmStartService
from apex_pipeline.settings import Settings
from tests.live.conftest import Desk
from tests.store.rows import query, tables_hash

RAW = ("loads", "load_coverage", "positions_raw_futu", "positions_raw_ib", "broker_positions", "position_movements")


@pytest.fixture
def tws(loaded: Desk) -> Iterator[GatewaySimulator]:
    simulator = GatewaySimulator(loaded.scenario).start()
    yield simulator
    simulator.stop()


def with_tws(desk: Desk, tws: GatewaySimulator) -> Settings:
    return replace(desk.config, ib=replace(desk.config.ib, tws_host=tws.host, tws_port=tws.port, tws_client_id=5))


def cold(desk: Desk, account_id: str) -> str:
    rows = query(
        desk.db.url,
        "SELECT instrument_id, sum(qty) FROM position_movements WHERE account_id = %s GROUP BY 1",
        account_id,
    )
    return positions_hash({"instrument_id": name, "qty": qty} for name, qty in rows)


def test_futus_accounts_are_captured_as_opend_tells_them_and_equal_the_ledger(loaded: Desk) -> None:
    before = tables_hash(loaded.db.url, RAW)
    captured = capture_broker(loaded.db, loaded.config, "futu")
    assert captured.positions
    assert captured.refused == []
    for snapshot in captured.positions:
        stored = PositionSnapshotRepository(loaded.db).get_latest("FUTU", snapshot.account_id)
        assert stored is not None
        assert stored == snapshot
        assert (stored.source, stored.captured_at, stored.watermark_count) == ("FUTU", captured.at, None)
        assert positions_hash(stored.positions) == cold(loaded, snapshot.account_id)
    assert any(snapshot.position_count for snapshot in captured.positions), "control: something is held"
    for account in captured.accounts:
        row = AccountSnapshotRepository(loaded.db).get_latest("FUTU", account.account_id)
        assert row is not None
        assert row.net_liquidation is not None
        assert row.total_cash_value is not None
        assert row.currency in ("HKD", "USD")
        assert set(row.payload["cash"]) <= {"HKD", "USD"}
    assert len(captured.accounts) == len(captured.positions)
    assert tables_hash(loaded.db.url, RAW) == before, "nothing of history is written"


def test_ibs_accounts_are_captured_as_the_gateway_tells_them_under_a_client_id_of_its_own(
    loaded: Desk, tws: GatewaySimulator
) -> None:
    captured = capture_broker(loaded.db, with_tws(loaded, tws), "ib")
    assert captured.refused == []
    told: dict[Any, Decimal] = {}
    for row in tws.rows.positions():
        told[row["account"], row["contract"]["conId"]] = Decimal(row["position"])
    stored: dict[Any, Decimal] = {}
    for snapshot in captured.positions:
        stored |= {(snapshot.account_id, row["instrument_id"]): row["qty"] for row in snapshot.positions}
    assert stored == told != {}
    assert {account.account_id for account in captured.accounts} == {one.account_id for one in captured.positions}
    assert all(account.net_liquidation and account.currency == "USD" for account in captured.accounts)
    with GatewaySimulator(loaded.scenario, used_client_ids=[5, 6]) as busy:
        assert capture_broker(loaded.db, with_tws(loaded, busy), "ib").positions


def test_what_was_captured_is_what_an_engine_is_started_from(loaded: Desk) -> None:
    captured = capture_broker(loaded.db, loaded.config, "futu")
    brokers = [{"name": "futu", "account_id": one.account_id} for one in captured.positions]
    result = WarmStartService(loaded.db).warm_start(brokers)
    assert (result.error, result.accounts_loaded) == (None, len(brokers))
    assert result.positions_loaded == sum(one.position_count for one in captured.positions)


def test_a_broker_that_is_away_is_told_and_the_ledger_stands_in(loaded: Desk) -> None:
    loaded.opend.stop()
    with pytest.raises(BrokerUnavailable):
        capture_broker(loaded.db, loaded.config, "futu")
    assert PositionSnapshotRepository(loaded.db).count() == 0
    assert not tells_of_today(loaded.config, "ib")
    for broker in ("futu", "ib"):
        for snapshot in capture_ledger(loaded.db, broker):
            assert snapshot.broker == broker.upper()
            assert positions_hash(snapshot.positions) == cold(loaded, snapshot.account_id)
    assert PositionSnapshotRepository(loaded.db).count() > 1


def test_a_second_capture_of_a_broker_does_not_wait_for_the_first(loaded: Desk) -> None:
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with loaded.db.lock("apex:snapshot:FUTU"):
            held.set()
            release.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    try:
        with pytest.raises(BrokerUnavailable, match="another capture of FUTU is under way"):
            capture_broker(loaded.db, loaded.config, "futu")
    finally:
        release.set()
        thread.join()
    assert capture_broker(loaded.db, loaded.config, "futu").positions


def test_every_account_is_valued_once_an_hour(loaded: Desk) -> None:
    now = datetime.now(UTC)
    written = value_portfolios(loaded.db, lambda: now)
    assert written > 0
    assert value_portfolios(loaded.db, lambda: now) == 0
    hours = query(loaded.db.url, "SELECT DISTINCT as_of FROM performance_metrics WHERE period = 'HOUR'")
    assert hours == [(now.replace(minute=0, second=0, microsecond=0),)]
