"""TimescaleDB is used where it is, by choice; asked again it changes only what the settings changed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest

from apex_pipeline.errors import ConfigError, StorageError
from apex_pipeline.store.db import Database
from apex_pipeline.store.timescale import HYPERTABLES, Step, Timescale, Wish
from apex_pipeline.store.transaction import Transaction
from tests.store import timescale_stand_in as stand_in
from tests.store.market_rows import bar, snapshot, write
from tests.store.rows import query, value

TABLES = ["account_snapshots", "ohlcv", "position_snapshots", "risk_snapshots"]
SNAPSHOTS = [name for name in TABLES if name != "ohlcv"]
AT = datetime(2026, 3, 2, 15, tzinfo=UTC)


@pytest.fixture
def offered(db: Database) -> Iterator[Database]:
    """A database whose server offers the stand-in, under the licence that has everything."""
    with stand_in.on_offer(db.url):
        stand_in.licensed(db.url, "timescale")
        db.close()
        yield db


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The options of tables reach the stand-in."""
    monkeypatch.setattr(Transaction, "set_options", stand_in.heard_options)


def enabled(db: Database, wish: Wish | None = None) -> list[Step]:
    """The steps of one time of enabling."""
    steps: list[Step] = []
    Timescale(db).enable(wish or Wish(), steps.append)
    return steps


def test_a_server_without_it_is_told_what_to_install_and_nothing_changes(db: Database) -> None:
    assert Timescale(db).state().word == "ABSENT"
    with pytest.raises(ConfigError, match=r"install its package .* shared_preload_libraries.*nothing was changed"):
        enabled(db)
    assert value(db.url, "SELECT count(*) FROM pg_extension WHERE extname <> 'plpgsql'") == 0


@pytest.mark.usefixtures("heard")
def test_every_large_table_becomes_a_hypertable_with_its_rows(offered: Database) -> None:
    write(offered, bar("US.AAPL", AT), snapshot(AT, {"US.AAPL": 1}))
    query(offered.url, "ANALYZE")
    assert Timescale(offered).state().word == "AVAILABLE"
    steps = enabled(offered)
    assert all(step.done for step in steps)
    assert {step.table for step in steps} == set(TABLES)
    told = stand_in.calls(offered.url)
    assert told[0] == "create_hypertable ohlcv opened_at 1 mon indexes f"
    assert "'timescaledb.compress_segmentby': 'symbol, timeframe'" in told[1]
    assert "'timescaledb.compress_orderby': 'opened_at DESC'" in told[1]
    assert told[2:4] == [
        "add policy_compression ohlcv 7 days",
        "create_hypertable position_snapshots captured_at 1 mon indexes f",
    ]
    assert "'timescaledb.compress_segmentby': 'broker, account_id'" in told[4]
    assert told[5:7] == [
        "add policy_compression position_snapshots 7 days",
        "add policy_retention position_snapshots 365 days",
    ]
    state = Timescale(offered).state()
    assert (state.word, state.installed) == ("ENABLED", stand_in.VERSION)
    assert [row["drop_after"] for row in state.tables] == ["365 days", None, "365 days", "365 days"]


@pytest.mark.usefixtures("heard")
def test_asked_again_nothing_is_done(offered: Database) -> None:
    enabled(offered)
    before = stand_in.calls(offered.url)
    assert [step for step in enabled(offered, Wish(chunk_interval="30 days")) if step.done] == []
    assert stand_in.calls(offered.url) == before


@pytest.mark.usefixtures("heard")
def test_changed_settings_change_the_policies_and_nothing_else(offered: Database) -> None:
    enabled(offered)
    before = len(stand_in.calls(offered.url))
    changed = Wish("14 days", "3 days", "2 days", snapshot_retention_days=90, bar_retention_days=3650)
    assert all(step.done for step in enabled(offered, changed))
    told = stand_in.calls(offered.url)[before:]
    assert not [call for call in told if call.startswith(("create", "set ohlcv"))]
    assert [call for call in told if "ohlcv" in call] == [
        "set_chunk_time_interval ohlcv 14 days",
        "remove policy_compression ohlcv",
        "add policy_compression ohlcv 3 days",
        "add policy_retention ohlcv 3650 days",
    ]
    rows = Timescale(offered).state().tables
    assert [row["compress_after"] for row in rows] == ["2 days", "3 days", "2 days", "2 days"]


def test_a_build_without_compression_gets_chunks_and_says_what_it_lacks(offered: Database) -> None:
    stand_in.licensed(offered.url, "apache")
    offered.close()
    steps = enabled(offered)
    assert {step.table for step in steps if step.done} == set(TABLES)
    assert all("Apache" in (step.hindrance or "") for step in steps if not step.done)
    assert sum(step.hindrance is not None for step in steps) == len(TABLES) + len(SNAPSHOTS)
    assert Timescale(offered).state().word == "ENABLED"
    assert not [step for step in enabled(offered) if step.done]


def test_a_refusal_of_the_server_is_one_line_and_can_be_taken_up_again(
    offered: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StorageError, match='not enabled for ohlcv: unrecognized parameter namespace "timescaledb"'):
        enabled(offered)  # a plain PostgreSQL reads the statement and knows no such options
    assert stand_in.calls(offered.url) == []  # of a table all steps or none
    assert Timescale(offered).state().word == "INSTALLED"
    monkeypatch.setattr(Transaction, "set_options", stand_in.heard_options)
    assert all(step.done for step in enabled(offered))


@pytest.mark.parametrize("version", ["2.10.3", "3.0.0"])
def test_versions_with_other_statements_are_refused(db: Database, version: str) -> None:
    with stand_in.on_offer(db.url, version):
        db.close()
        with pytest.raises(ConfigError, match=rf"TimescaleDB {version} cannot be used here"):
            enabled(db)
        assert value(db.url, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") == 0


def test_a_server_that_does_not_load_it_is_told_so_and_nothing_changes(db: Database) -> None:
    script = """DO $$ BEGIN RAISE 'extension "timescaledb" must be preloaded'; END $$"""
    with stand_in.on_offer(db.url, script=script):
        db.close()
        with pytest.raises(ConfigError, match="not loaded: add timescaledb to shared_preload_libraries"):
            enabled(db)
        assert Timescale(db).state().word == "AVAILABLE"


@pytest.mark.parametrize("one", HYPERTABLES, ids=lambda one: one.table.name)
def test_the_tables_can_become_hypertables(db: Database, one: object) -> None:
    (found,) = [table for table in HYPERTABLES if table is one]
    name = found.table.name
    unique = query(db.url, "SELECT indexrelid FROM pg_index WHERE indisunique AND indrelid = %s::regclass", name)
    assert len(unique) == 1  # the key, which holds the time: a further one would have to
    assert found.time in found.table.key
    foreign = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND %s::regclass IN (conrelid, confrelid)"
    assert value(db.url, foreign, name) == 0
    triggers = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = %s::regclass"
    assert value(db.url, triggers, name) == 0  # those with transition tables are refused on hypertables


def test_the_stand_in_refuses_a_key_without_time(offered: Database) -> None:
    query(offered.url, "CREATE EXTENSION timescaledb")
    query(offered.url, "CREATE TABLE wrong (id bigint PRIMARY KEY, at timestamptz NOT NULL)")
    with pytest.raises(psycopg2.Error, match="unique index without"):
        query(offered.url, "SELECT create_hypertable('wrong', 'at', chunk_time_interval => interval '1 day')")


def test_rows_of_compressed_chunks_may_all_be_changed(db: Database) -> None:
    limit = "SELECT current_setting('timescaledb.max_tuples_decompressed_per_dml_transaction', true)"
    assert db.fetchval(limit) == "0"
    assert value(db.url, limit) is None  # means nothing to others
    assert timedelta(days=30) == value(db.url, "SELECT interval '1 month'")


PARTS = """
ALTER TABLE ohlcv RENAME TO ohlcv_whole;
CREATE TABLE ohlcv (LIKE ohlcv_whole INCLUDING ALL) PARTITION BY RANGE (opened_at);
CREATE TABLE ohlcv_old PARTITION OF ohlcv FOR VALUES FROM (MINVALUE) TO ('2026-03-01Z');
CREATE TABLE ohlcv_new PARTITION OF ohlcv FOR VALUES FROM ('2026-03-01Z') TO (MAXVALUE)
"""

FIVE_BARS = """
INSERT INTO ohlcv (symbol, timeframe, opened_at, open, high, low, close, source)
SELECT 'US.AAPL', '1m', %s + n * interval '1 minute', 1, 1, 1, 1, 'TEST' FROM generate_series(1, 5) AS n
"""


def test_old_bars_are_told_from_new_ones_also_where_chunks_number_their_rows_alike(db: Database) -> None:
    query(db.url, PARTS)
    for first in (AT - timedelta(days=30), AT):
        query(db.url, FIVE_BARS, first)
    alike = "SELECT count(*) FROM ohlcv_old JOIN ohlcv_new ON ohlcv_old.ctid = ohlcv_new.ctid"
    assert value(db.url, alike) == 5  # control: what is deleted by ctid would take the new ones along
    assert db.execute("bars_remove_old", before=datetime(2026, 3, 1, tzinfo=UTC), timeframe=None, most=1000) == 5
    assert value(db.url, "SELECT count(*) FROM ohlcv_new") == 5
