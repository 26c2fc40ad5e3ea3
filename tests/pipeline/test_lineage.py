"""`apex why`: every row is explained down to the bytes that were received."""

from collections.abc import Iterator

import pytest
from psycopg2 import sql

from apex_pipeline.domain.models import Broker
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.lineage import LineageRepository, Origin
from tests.pipeline.conftest import World
from tests.store.rows import query


def walk(origin: Origin) -> Iterator[Origin]:
    yield origin
    for each in origin.made_of:
        yield from walk(each)


def first_uid(db: Database, table: str, column: str, broker: Broker, condition: str) -> str:
    text = sql.SQL("SELECT {0} FROM {1} WHERE broker = {2} AND {3} ORDER BY 1 LIMIT 1").format(
        sql.Identifier(column),
        sql.Identifier(table),
        sql.Literal(broker),
        sql.SQL(condition),  # pyright: ignore[reportArgumentType] - written below
    )
    return query(db.url, text)[0][0]


@pytest.mark.parametrize("broker", list(Broker))
@pytest.mark.parametrize(
    ("table", "column", "condition"),
    [
        ("trades_norm", "trade_uid", "kind = 'TRADE'"),
        ("orders_norm", "order_uid", "filled_qty > 0"),
        ("fees_norm", "fee_uid", "true"),
        ("cash_movements", "cash_uid", "true"),
        ("realized_pnl", "realized_uid", "lot_uid IS NOT NULL"),
        ("lots", "lot_uid", "true"),
        ("round_trips", "trade_id", "status = 'CLOSED'"),
        ("cash_ledger", "entry_uid", "trade_uid IS NOT NULL"),
        ("position_events", "event_uid", "trade_uid IS NOT NULL"),
    ],
)
def test_a_row_is_explained_down_to_the_bytes(
    loaded: World, broker: Broker, table: str, column: str, condition: str
) -> None:
    uid = first_uid(loaded.db, table, column, broker, condition)
    (origin,) = LineageRepository(loaded.db).origins(f"{table}/{uid}")
    assert (origin.table, origin.key) == (table, uid)
    documents = [each for each in walk(origin) if each.table == "raw_documents"]
    assert documents
    for document in documents:
        assert len(document.row["sha256"]) == 64
        assert 0 <= document.row["at_byte"] < document.row["byte_size"]
    if broker is Broker.IB:
        assert any(document.row["excerpt"].startswith("<") for document in documents)


def test_what_a_statement_says_is_explained_too(loaded: World) -> None:
    uid = first_uid(loaded.db, "broker_figures", "figures_uid", Broker.IB, "section = 'ChangeInNAV'")
    (origin,) = LineageRepository(loaded.db).origins(uid)
    assert any("ChangeInNAV" in each.row["excerpt"] for each in walk(origin) if each.table == "raw_documents")


def test_a_name_that_no_row_has_is_no_row(loaded: World) -> None:
    assert LineageRepository(loaded.db).origins("FUTU_1_nothing") == []
    assert LineageRepository(loaded.db).origins("positions_daily/2020-01-01/1/2") == []


def test_rows_that_share_a_uid_are_all_told(loaded: World) -> None:
    uid = first_uid(loaded.db, "lots", "lot_uid", Broker.FUTU, "origin = 'TRADE'")
    told = [origin.table for origin in LineageRepository(loaded.db).origins(uid)]
    assert {"trades_norm", "lots", "position_events"} <= set(told)
