"""What is changed beside the stages is told: on its account and day, with the row, and until it is right again."""

from datetime import date
from typing import Any

import pytest
from psycopg2 import sql

from apex_pipeline.domain.checks import CheckName
from apex_pipeline.domain.reconciliation import SET_RIGHT, Finding
from apex_pipeline.pipeline import mend, reconcile_days
from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store.repositories.breaks import BreakRepository
from tests.pipeline.conftest import World
from tests.store.rows import connected, query

RAW = CheckName.RAW_RECORDS_ARE_KEPT_AS_RECEIVED
STORED = CheckName.STORED_ROWS_ARE_WHAT_THEIR_RECORDS_MAKE
EVER = date(1970, 1, 1), date(2100, 1, 1)


def sealed_tables() -> list[str]:
    """The tables that migrations seal, read from them so that a test is made for each."""
    text = "".join(path.read_text("utf-8") for path in sorted((PROJECT_DIR / "migrations").glob("*.sql")))
    block = text[text.index("FROM (VALUES\n        ('orders_raw_futu'") : text.index(") AS sealed (name, day_of)")]
    return [part.split("'")[1] for part in block.split("(") if part.startswith("'")] + ["instruments"]


def findings(world: World) -> list[Finding]:
    repository = BreakRepository(world.db)
    return [one for check in (RAW, STORED) for one in repository.findings(check, *EVER)]


def beside(world: World, text: sql.Composable) -> int:
    """Change rows as a person with all rights does; returns how many."""
    with connected(world.db.url) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(text)
        return cursor.rowcount


def test_what_the_stages_wrote_is_sealed(loaded: World) -> None:
    assert findings(loaded) == []
    assert sum(BreakRepository(loaded.db).subjects(RAW, *EVER).values()) > 1000
    assert sum(BreakRepository(loaded.db).subjects(STORED, *EVER).values()) > 1000
    sealed = {name for (name,) in query(loaded.db.url, "SELECT table_name FROM sealed_tables")}
    assert sealed == set(sealed_tables())


def test_no_row_of_a_sealed_table_is_lost_unnoticed(loaded: World) -> None:
    told: dict[str, list[str]] = {}
    for name in sealed_tables():
        lost = beside(
            loaded,
            sql.SQL("DELETE FROM {0} WHERE ctid = (SELECT ctid FROM {0} ORDER BY ctid OFFSET 3 LIMIT 1)").format(
                sql.Identifier(name)
            ),
        )
        if lost:
            told[name] = []
    for one in findings(loaded):
        told[one.evidence["table"]].append(str(one.business_date))
        assert (one.delta, one.cause) == (-1, "PIPELINE")
    assert len(told) > 25
    assert {name: len(days) for name, days in told.items()} == dict.fromkeys(told, 1)


CHANGED = "UPDATE trades_norm SET price = price + 1 WHERE trade_uid = %s"
ONE = (
    "SELECT trade_uid, account_id, trade_date, price FROM trades_norm WHERE broker = 'FUTU' AND kind = 'TRADE' LIMIT 1"
)


def test_a_stage_that_writes_the_row_again_mends_it(loaded: World) -> None:
    uid = query(loaded.db.url, ONE)[0][0]
    query(loaded.db.url, CHANGED, uid)
    assert len(findings(loaded)) == 1
    loaded.derive()
    assert findings(loaded) == []


def reconciled(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """Breaks by state, after the checks ran over everything."""
    reconcile_days(world.db, world.scenario.start, world.today)
    rows = query(
        world.db.url,
        "SELECT state, check_name, subject, business_date, account_id, expected, actual, follows, evidence, break_uid "
        "FROM recon_breaks WHERE state <> 'CLOSED' ORDER BY check_name, subject",
    )
    states: dict[str, list[tuple[Any, ...]]] = {}
    for state, *row in rows:
        states.setdefault(state, []).append(tuple(row))
    return states


def test_a_changed_row_is_the_one_break_and_what_follows_from_it_is_proven(loaded: World) -> None:
    uid, account, day, price = query(loaded.db.url, ONE)[0]
    query(loaded.db.url, CHANGED, uid)
    told = reconciled(loaded)
    (row,) = told.pop("OPEN")
    assert row[:6] == (STORED.value, f"trades_norm {uid}", day, account, price, price + 1)
    assert row[7]["columns"] == {"price": {"stored": str(price + 1), "due": str(price)}}
    assert row[7]["rows"] == [uid]
    assert [one["do"] for one in row[7][SET_RIGHT]] == ["update"]
    for effect in told.pop("EXPLAINED", []):
        assert effect[6] == [row[8]]
    assert told == {}
    query(loaded.db.url, "UPDATE trades_norm SET price = price - 1 WHERE trade_uid = %s", uid)
    assert reconciled(loaded) == {}, "control: with the row right again nothing is open"


@pytest.mark.parametrize("table", ["lots", "realized_pnl", "order_strategy_map", "cash_ledger", "positions_daily"])
def test_a_derived_row_that_is_gone_is_named(loaded: World, table: str) -> None:
    text = sql.SQL("DELETE FROM {0} WHERE ctid = (SELECT ctid FROM {0} ORDER BY ctid OFFSET 30 LIMIT 1)")
    assert beside(loaded, text.format(sql.Identifier(table))) == 1
    told = reconciled(loaded)
    (row,) = told["OPEN"]
    assert row[0] == STORED.value
    assert row[1].startswith(f"{table} ")
    assert (row[4], row[5]) == (1, 0)
    assert [one["do"] for one in row[7][SET_RIGHT]] == ["insert"]
    breaks = BreakRepository(loaded.db).existing(*EVER)
    assert mend(loaded.db, breaks) == 1
    assert reconciled(loaded) == {}


def test_a_trade_that_no_record_makes_is_named_and_mending_removes_it(loaded: World) -> None:
    uid, account, day, _ = query(loaded.db.url, ONE)[0]
    twin = """INSERT INTO trades_norm SELECT (jsonb_populate_record(t, jsonb_build_object(
                  'trade_uid', trade_uid || '9', 'broker_trade_id', broker_trade_id || '9'))).*
              FROM trades_norm t WHERE trade_uid = %s"""
    query(loaded.db.url, twin, uid)
    (row,) = reconciled(loaded)["OPEN"]
    assert row[:6] == (STORED.value, f"trades_norm {uid}9", day, account, 0, 1)
    assert [one["do"] for one in row[7][SET_RIGHT]] == ["delete"]
    assert mend(loaded.db, BreakRepository(loaded.db).existing(*EVER)) == 1
    assert reconciled(loaded) == {}
    assert query(loaded.db.url, "SELECT count(*) FROM trades_norm WHERE trade_uid LIKE %s", f"{uid}%") == [(1,)]


@pytest.mark.parametrize("table", ["orders_raw_futu", "trades_raw_futu", "trades_raw_ib"])
def test_the_newest_record_that_is_gone_or_on_another_day_is_told_once(loaded: World, table: str) -> None:
    newest = sql.SQL("(SELECT ctid FROM {} ORDER BY business_date DESC, record_key DESC LIMIT 1)").format(
        sql.Identifier(table)
    )
    moved = sql.SQL("UPDATE {} SET business_date = business_date - 40 WHERE ctid = {}")
    assert beside(loaded, moved.format(sql.Identifier(table), newest)) == 1
    assert {row[0] for row in reconciled(loaded)["OPEN"]} == {RAW.value}
    gone = sql.SQL("DELETE FROM {} WHERE ctid = {}").format(sql.Identifier(table), newest)
    assert beside(loaded, gone) == 1
    assert {row[0] for row in reconciled(loaded)["OPEN"]} == {RAW.value}


def test_bytes_that_are_not_what_was_received_are_told_of_their_days(loaded: World) -> None:
    ((document, first, last),) = query(
        loaded.db.url,
        "SELECT d.document_id, l.from_date, l.to_date FROM raw_documents d JOIN raw_observations o USING (document_id) "
        "JOIN loads l USING (load_id) WHERE l.broker = 'IB' ORDER BY 1 LIMIT 1",
    )
    changed = sql.SQL("UPDATE raw_documents SET content = content || '\\x00'::bytea WHERE document_id = {}")
    assert beside(loaded, changed.format(sql.Literal(document))) == 1
    (found,) = BreakRepository(loaded.db).findings(RAW, first, last)
    assert (found.subject, found.business_date) == (f"raw_documents {document}", first)
    assert BreakRepository(loaded.db).findings(RAW, *(date(1970, 1, day) for day in (1, 2))) == []


def test_a_trade_that_no_record_makes_is_named_and_goes_in_a_rehearsal(loaded: World) -> None:
    uid, account, day, _ = query(loaded.db.url, ONE)[0]
    copied = sql.SQL(
        "INSERT INTO trades_norm SELECT (jsonb_populate_record(t, jsonb_build_object("
        "'trade_uid', t.trade_uid || '9', 'broker_trade_id', t.broker_trade_id || '9', 'exec_id', NULL))).* "
        "FROM trades_norm t WHERE trade_uid = {}"
    )
    assert beside(loaded, copied.format(sql.Literal(uid))) == 1
    told = reconciled(loaded)
    (row,) = told["OPEN"]
    assert row[:6] == (STORED.value, f"trades_norm {uid}9", day, account, 0, 1)
    assert [one["do"] for one in row[7][SET_RIGHT]] == ["delete"]
    assert len(told["EXPLAINED"]) > 1
