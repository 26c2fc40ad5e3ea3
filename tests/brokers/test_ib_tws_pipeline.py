"""What the gateway told today stands in the database until the statement of the day comes, and then is gone."""

from datetime import date, timedelta

from psycopg2 import sql

from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.brokers.ib.simulator import FlexSimulator
from apex_pipeline.brokers.ib.simulator_tws import GatewaySimulator
from apex_pipeline.brokers.ib.tws_client import TwsEndpoint
from apex_pipeline.domain.records import Ask
from apex_pipeline.extraction import Ingested
from apex_pipeline.pipeline import ingest, normalize
from apex_pipeline.store.db import Database
from tests.brokers.ib.gateways import scenario, trading_days
from tests.store.rows import query

DAY = trading_days()[0]
BEFORE, AFTER = DAY - timedelta(days=5), DAY + timedelta(days=1)
TOKEN, QUERY = "a-token", "4711"


def load(db: Database, today: date, gateway: GatewaySimulator | None) -> Ingested:
    """Load the last days as of `today` and normalize them."""
    with FlexSimulator(scenario(), TOKEN, QUERY, time_scale=1000, today=today) as flex:
        tws = TwsEndpoint(gateway.host, gateway.port, 17) if gateway else None
        settings = IbSettings(flex.url, TOKEN, QUERY, poll_seconds=0.01, tws=tws)
        broker = IbBroker(settings, today=lambda: today)
        told = ingest(db, broker, lambda _: None, Ask(BEFORE, today, today))
        normalize(db, broker, BEFORE, today)
    return told


def sources(db: Database, table: str = "trades_norm") -> dict[str, int]:
    """How many rows of the day each interface tells."""
    return dict(query(db.url, sql.SQL("SELECT source, count(*) FROM {} WHERE trade_date = %s GROUP BY 1").format(
        sql.Identifier(table)), DAY))  # fmt: skip


def test_the_statement_takes_the_place_of_what_the_gateway_told(db: Database) -> None:
    with GatewaySimulator(scenario(), day=DAY) as gateway:
        load(db, DAY, gateway)
        fills = len(gateway.rows.executions())
    assert sources(db) == {"TWS": fills}
    assert sources(db, "orders_norm").keys() == {"TWS"}
    uids = set(query(db.url, "SELECT trade_uid, symbol, price FROM trades_norm WHERE trade_date = %s", DAY))
    load(db, AFTER, None)
    assert sources(db)["FLEX"] >= fills
    assert "TWS" not in sources(db) | sources(db, "orders_norm")
    assert uids <= set(query(db.url, "SELECT trade_uid, symbol, price FROM trades_norm WHERE trade_date = %s", DAY))
    assert query(db.url, "SELECT fee_uid FROM fees_norm GROUP BY trade_uid, fee_uid HAVING count(*) > 1") == []
    assert query(db.url, "SELECT 1 FROM quarantine WHERE resolved_at IS NULL") == []


def test_a_gateway_that_comes_after_the_statement_changes_nothing(db: Database) -> None:
    load(db, AFTER, None)
    before = sources(db)
    with GatewaySimulator(scenario(), day=DAY) as gateway:
        load(db, AFTER, gateway)
    assert sources(db) == before
    assert "TWS" not in before


def test_a_corrected_execution_replaces_the_earlier_one_in_a_later_load(db: Database) -> None:
    with GatewaySimulator(scenario(), day=DAY) as gateway:
        load(db, DAY, gateway)
        gateway.faults = {"revised_execution"}
        load(db, DAY, gateway)
        fills = len(gateway.rows.executions())
    assert sources(db) == {"TWS": fills}
    corrected = query(db.url, "SELECT price FROM trades_norm WHERE exec_id LIKE %s AND source = 'TWS'", "%.02")
    assert [str(price) for (price,) in corrected] == ["1.25"]


def test_late_commissions_are_unknown_until_they_come(db: Database) -> None:
    count = "SELECT count(*) FROM fees_norm f JOIN trades_norm t USING (trade_uid) WHERE t.source = 'TWS'"
    with GatewaySimulator(scenario(), day=DAY, faults={"late_commissions"}) as gateway:
        load(db, DAY, gateway)
        assert query(db.url, count) == [(0,)]
        gateway.faults = set()
        load(db, DAY, gateway)
        assert query(db.url, count) == [(len(gateway.rows.executions()),)]


def test_a_gateway_that_refuses_does_not_stop_the_statements(db: Database) -> None:
    with GatewaySimulator(scenario(), faults={"client_id_in_use"}) as gateway:
        told = load(db, AFTER, gateway)
    assert any("IB_TWS_CLIENT_ID" in line for line in (*told.notes, *told.failures))
    assert sources(db).keys() == {"FLEX"}
