"""The raw record: nothing received is lost, the newest version wins whatever the order, and nothing is half stored."""

import hashlib
import zlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString

import psycopg2
import pytest

from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import (
    ALL_MARKETS,
    Ask,
    Call,
    Content,
    Covered,
    Document,
    Record,
    RecordKind,
    Reject,
    WholeDelivery,
)
from apex_pipeline.errors import StorageError
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.loads import Loaded, LoadRepository
from apex_pipeline.store.tables import RAW_KINDS, raw_table
from tests.store.rows import query, sqlstate, tables_hash, value

DAY = date(2026, 3, 6)
AT = datetime(2026, 3, 9, 9, tzinfo=UTC)
ASK = Ask(DAY, DAY, DAY)
CALL = Call("ib_flex", None, ALL_MARKETS, DAY, DAY)
REFUSED, CHECK_VIOLATED = "23001", "23514"
LOADED_TABLES = (
    "raw_documents", "raw_observations", "raw_versions", "trades_raw_ib", "loads", "load_coverage", "quarantine",
    "sync_state", "dirty_days",
)  # fmt: skip


def record(price: str, written: int | None = None, key: str = "9100", **more: Any) -> Record:
    """A trade with a price, in a statement written so many hours after `AT`."""
    stamp = None if written is None else AT + timedelta(hours=written)
    payload = {"transactionID": key, "tradePrice": price, **more}
    return Record(RecordKind.TRADES, "U1", key, DAY, payload, order_id="5100", generated_at=stamp)


def reject(reason: str = "no date", key: str | None = "9100") -> Reject:
    return Reject("trades", "U1", key, DAY, "missing_date", reason, {"transactionID": key or ""})


def covered(records: int, last: datetime | None = AT) -> Covered:
    return Covered("U1", "ib_flex", ALL_MARKETS, DAY, DAY, records, last)


class Broker1:
    """A broker whose answers are given by hand."""

    def __init__(self, db: Database) -> None:
        self.loads = LoadRepository(db, Broker.IB)
        self.url = db.url
        self.run = self.loads.begin_run(ASK)

    def says(self, *records: Record, rejects: Sequence[Reject] = (), content: bytes = b"<x/>") -> Loaded:
        document = Document("flex", {"fd": "20260306"}, Content.of((content,)), "application/xml", AT)
        delivery = WholeDelivery((document,), records, rejects, (covered(len(records)),))
        return self.loads.store(self.run, CALL, delivery, AT)

    def price(self, key: str = "9100") -> str:
        return value(self.url, "SELECT payload->>'tradePrice' FROM trades_raw_ib WHERE record_key = %s", key)

    def earlier_prices(self) -> list[str]:
        rows = query(self.url, "SELECT payload->>'tradePrice' FROM raw_versions ORDER BY version_id")
        return [price for (price,) in rows]


@pytest.fixture
def broker(db: Database) -> Broker1:
    return Broker1(db)


def counts(loaded: Loaded) -> tuple[int, int, int, int, int]:
    return loaded.records, loaded.new_versions, loaded.unchanged, loaded.superseded, loaded.quarantined


def test_an_equal_record_is_not_written_again(broker: Broker1) -> None:
    assert counts(broker.says(record("4.35"))) == (1, 1, 0, 0, 0)
    written = query(broker.url, "SELECT ctid::text, xmin::text, load_id, fetched_at FROM trades_raw_ib")
    assert counts(broker.says(record("4.35"))) == (1, 0, 1, 0, 0)
    assert query(broker.url, "SELECT ctid::text, xmin::text, load_id, fetched_at FROM trades_raw_ib") == written
    assert counts(broker.says(record("4.36"))) == (1, 1, 0, 0, 0)
    assert query(broker.url, "SELECT ctid::text, xmin::text, load_id, fetched_at FROM trades_raw_ib") != written


@pytest.mark.parametrize("stamps", [(1, 2, 3), (None, None, None)], ids=["dated", "as received"])
def test_a_correction_that_reverts_is_kept(broker: Broker1, stamps: Sequence[int | None]) -> None:
    for price, written in zip(("A", "B", "A"), stamps, strict=True):
        broker.says(record(price, written))
    assert broker.price() == "A"
    assert broker.earlier_prices() == ["A", "B"]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 2000])
def test_records_written_in_batches_of_any_size_are_the_same_record(db: Database, batch_size: int) -> None:
    broker = Broker1(db)
    broker.loads = LoadRepository(db, Broker.IB, batch_size)
    told = [record(str(number), key=key) for number, key in enumerate(("1", "2", "1", "3", "2", "1"))]
    assert counts(broker.says(*told)) == (6, 6, 0, 0, 0)
    assert [broker.price(key) for key in ("1", "2", "3")] == ["5", "4", "3"]
    assert sorted(broker.earlier_prices()) == ["0", "1", "2"]


def test_a_store_that_knows_payloads_by_hash_would_have_ended_at_b(broker: Broker1) -> None:
    seen: dict[str, str] = {}
    for price in ("A", "B", "A"):
        seen.setdefault(hashlib.sha256(price.encode()).hexdigest(), price)
    assert list(seen.values())[-1] == "B"


def test_an_older_statement_never_replaces_a_newer_one_but_is_kept(broker: Broker1) -> None:
    broker.says(record("new", 5))
    assert counts(broker.says(record("old", 1))) == (1, 0, 0, 1, 0)
    assert (broker.price(), broker.earlier_prices()) == ("new", ["old"])
    assert counts(broker.says(record("old", 1))) == (1, 0, 1, 0, 0)
    assert broker.earlier_prices() == ["old"]
    broker.says(record("newer", 6))
    assert (broker.price(), broker.earlier_prices()) == ("newer", ["old", "new"])


def test_an_equal_record_written_later_blocks_one_written_in_between(broker: Broker1) -> None:
    broker.says(record("A", 1))
    assert counts(broker.says(record("A", 9))) == (1, 0, 1, 0, 0)
    assert counts(broker.says(record("B", 5))) == (1, 0, 0, 1, 0)
    assert (broker.price(), broker.earlier_prices()) == ("A", ["B"])


def test_without_the_later_equal_record_the_one_in_between_wins(broker: Broker1) -> None:
    broker.says(record("A", 1))
    broker.says(record("B", 5))
    assert (broker.price(), broker.earlier_prices()) == ("B", ["A"])


def test_all_orders_of_arrival_end_at_the_version_written_last(db: Database) -> None:
    broker = Broker1(db)
    orders = [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)]
    for number, order in enumerate(orders):
        key = str(9100 + number)
        for written in order:
            broker.says(record(f"at {written}", written, key))
        assert broker.price(key) == "at 3"
        kept = query(db.url, "SELECT payload->>'tradePrice' FROM raw_versions WHERE record_key = %s", key)
        assert {price for (price,) in kept} == {"at 1", "at 2"}


def test_two_versions_in_one_delivery_are_both_kept_and_the_later_one_wins(broker: Broker1) -> None:
    assert counts(broker.says(record("late", 2), record("early", 1))) == (2, 2, 0, 0, 0)
    assert (broker.price(), broker.earlier_prices()) == ("late", ["early"])
    assert counts(broker.says(record("late", 2), record("early", 1), record("late", 2))) == (3, 0, 3, 0, 0)


def test_two_equal_fills_of_different_keys_are_two_fills(broker: Broker1) -> None:
    broker.says(record("1", key="9100"), record("1", key="9101"))
    assert value(broker.url, "SELECT count(*) FROM trades_raw_ib") == 2


def test_only_days_that_changed_become_dirty(broker: Broker1) -> None:
    broker.says(record("A", 1))
    assert query(broker.url, "SELECT stage, account_id, business_date FROM dirty_days") == [("normalize", "U1", DAY)]
    query(broker.url, "DELETE FROM dirty_days")
    broker.says(record("A", 2))
    broker.says(record("old", 1))
    assert query(broker.url, "SELECT stage FROM dirty_days") == []
    broker.says(record("B", 3))
    assert query(broker.url, "SELECT stage FROM dirty_days") == [("normalize",)]


def test_a_record_that_moves_to_another_day_makes_both_days_dirty(broker: Broker1) -> None:
    broker.says(record("A", 1))
    query(broker.url, "DELETE FROM dirty_days")
    later = DAY + timedelta(days=3)
    moved = Record(
        RecordKind.TRADES, "U1", "9100", later, {"tradeDate": "20260309"}, generated_at=AT + timedelta(hours=2)
    )
    broker.says(moved)
    assert query(broker.url, "SELECT business_date FROM dirty_days ORDER BY 1") == [(DAY,), (later,)]


TRADES_TABLE = "trades_raw_ib"
REFUSALS: list[LiteralString] = [
    "DELETE FROM trades_raw_ib",
    "DELETE FROM trades_raw_ib WHERE false",
    "TRUNCATE trades_raw_ib",
    "TRUNCATE loads CASCADE",
    "UPDATE trades_raw_ib SET account_id = 'U2'",
    "UPDATE trades_raw_ib SET record_key = record_key || '0'",
    "UPDATE raw_documents SET content = ''",
    "UPDATE raw_versions SET payload = '{}'",
    "UPDATE raw_observations SET request = '{}'",
    "DELETE FROM raw_documents",
    "TRUNCATE raw_documents CASCADE",
    "DELETE FROM raw_versions",
    "TRUNCATE raw_versions",
    "DELETE FROM raw_observations",
    "TRUNCATE raw_observations",
]


@pytest.mark.parametrize("statement", REFUSALS)
def test_raw_rows_cannot_be_removed_or_renamed(broker: Broker1, statement: LiteralString) -> None:
    broker.says(record("A"))
    broker.says(record("B"))
    before = tables_hash(broker.url, LOADED_TABLES)
    assert sqlstate(broker.url, statement) == REFUSED
    assert tables_hash(broker.url, LOADED_TABLES) == before


def test_all_raw_tables_refuse_alike(broker: Broker1) -> None:
    names = [raw_table(name, kind).name for name, kinds in RAW_KINDS.items() for kind in kinds]
    assert len(names) >= 9
    for table in names:
        text = f"DELETE FROM {table}"
        assert sqlstate(broker.url, text) == REFUSED, table  # pyright: ignore[reportArgumentType]  # names are ours


def test_the_triggers_refuse_and_not_the_lack_of_something_else(broker: Broker1) -> None:
    broker.says(record("A"))
    assert sqlstate(broker.url, 'UPDATE trades_raw_ib SET payload = \'{"tradePrice": "B"}\'') is None
    assert (broker.price(), broker.earlier_prices()) == ("B", ["A"])
    query(broker.url, "ALTER TABLE trades_raw_ib DISABLE TRIGGER USER")
    assert sqlstate(broker.url, "UPDATE trades_raw_ib SET record_key = 'other'") is None
    assert sqlstate(broker.url, "DELETE FROM trades_raw_ib") is None
    assert sqlstate(broker.url, "TRUNCATE trades_raw_ib") is None


def test_the_bytes_received_are_kept_once_and_every_observation_of_them(broker: Broker1) -> None:
    content = b"<FlexQueryResponse>\x00\xff" * 50
    broker.says(record("A"), content=content)
    broker.says(record("A"), content=content)
    broker.says(record("A"), content=b"other")
    [(sha256, size, packed), _] = query(
        broker.url, "SELECT sha256, byte_size, content FROM raw_documents ORDER BY document_id"
    )
    assert zlib.decompress(bytes(packed)) == content
    assert (sha256, size) == (hashlib.sha256(content).hexdigest(), len(content))
    seen = query(
        broker.url,
        "SELECT sha256 = %s, request FROM raw_observations JOIN raw_documents USING (document_id)"
        " ORDER BY observation_id",
        sha256,
    )
    assert seen == [(same, {"fd": "20260306"}) for same in (True, True, False)]


def test_a_payload_comes_back_exactly(broker: Broker1) -> None:
    text = 'tab\t newline\n backslash\\ \\N quote" 中文 é 🀄'
    payload: dict[str, Any] = {
        "text": text, "empty": "", "none": None, "exact": Decimal("123456789012345.678901234567890"),
        "id": 281756478396547854, "nested": {"legs": [{"code": text}, []]}, "a\ttab": True,
    }  # fmt: skip
    told = Record(RecordKind.TRADES, "U1", "k\\\t", DAY, payload)
    broker.says(told)
    [read] = broker.loads.outlines("U1", DAY, DAY, list(payload))
    assert read == told
    assert str(read.payload["exact"]) == "123456789012345.678901234567890"


def test_a_nul_is_made_visible_in_the_record_and_stays_in_the_bytes(broker: Broker1) -> None:
    broker.says(record("1\x00"), content=b"1\x00")
    assert broker.price() == "1\N{REPLACEMENT CHARACTER}"
    assert zlib.decompress(bytes(value(broker.url, "SELECT content FROM raw_documents"))) == b"1\x00"


def quarantined(url: str) -> list[tuple[Any, ...]]:
    return query(url, "SELECT reason, first_seen_at, resolved_at IS NULL, load_id FROM quarantine ORDER BY broker_key")


def test_a_rejected_record_waits_in_quarantine_until_it_can_be_read(broker: Broker1) -> None:
    first = broker.says(record("1", key="9101"), rejects=[reject("no date")])
    assert counts(first) == (2, 1, 0, 0, 1)
    [(reason, seen_at, is_open, load_id)] = quarantined(broker.url)
    assert (reason, is_open, load_id) == ("no date", True, first.load_id)
    broker.says(rejects=[reject("still no date")])
    assert quarantined(broker.url) == [("still no date", seen_at, True, load_id)]
    broker.says(record("4.35"))
    assert quarantined(broker.url) == [("still no date", seen_at, False, load_id)]
    broker.says(rejects=[reject("again")])
    assert quarantined(broker.url) == [("again", seen_at, True, load_id)]


def test_another_record_resolves_nothing(broker: Broker1) -> None:
    broker.says(rejects=[reject(), reject(key=None)])
    broker.says(record("1", key="9101"), record("1", key="910"))
    other = Record(RecordKind.TRADES, "U2", "9100", DAY, {})
    broker.says(other, Record(RecordKind.ORDERS, "U1", "9100", DAY, {}))
    assert [is_open for _, _, is_open, _ in quarantined(broker.url)] == [True, True]


BROKEN: dict[str, tuple[Record, ...]] = {
    "no key": (record("1"), Record(RecordKind.TRADES, "U1", None, DAY, {})),  # pyright: ignore[reportArgumentType]
    "not a date": (record("1"), Record(RecordKind.TRADES, "U1", "9101", "soon", {})),  # pyright: ignore[reportArgumentType]
    "a later kind": (record("1"), Record(RecordKind.FEES, "U1", "9101", None, {})),  # pyright: ignore[reportArgumentType]
}


@pytest.mark.parametrize("records", BROKEN.values(), ids=BROKEN)
def test_a_load_that_breaks_leaves_nothing(broker: Broker1, records: tuple[Record, ...]) -> None:
    broker.says(record("0"), content=b"before")
    before = tables_hash(broker.url, LOADED_TABLES)
    with pytest.raises(psycopg2.Error):
        broker.says(*records, rejects=[reject(key="9200")], content=b"broken")
    assert tables_hash(broker.url, LOADED_TABLES) == before
    broker.says(records[0], content=b"broken")
    assert tables_hash(broker.url, LOADED_TABLES) != before


STEPS = ("raw_documents", "raw_observations", "trades_raw_ib", "quarantine", "load_coverage", "sync_state")


@pytest.mark.parametrize("table", STEPS)
def test_the_watermark_moves_only_with_its_data(broker: Broker1, table: str) -> None:
    broker.says(record("0", 1), content=b"before")
    before = tables_hash(broker.url, LOADED_TABLES)
    query(
        broker.url,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END $$",
    )
    trigger = f"CREATE TRIGGER fail AFTER INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION fail()"
    query(broker.url, trigger)  # pyright: ignore[reportArgumentType]  # the table names are ours
    with pytest.raises(StorageError):
        broker.says(record("1", 2), rejects=[reject(key="9200")], content=b"after")
    assert tables_hash(broker.url, LOADED_TABLES) == before
    query(broker.url, "DROP FUNCTION fail() CASCADE")
    broker.says(record("1", 2), rejects=[reject(key="9200")], content=b"after")
    changed = {name for name, was in before.items() if tables_hash(broker.url, [name])[name] != was}
    assert changed >= {*STEPS, "loads", "raw_versions"}


def test_a_program_that_commits_the_watermark_first_would_be_noticed(broker: Broker1) -> None:
    before = tables_hash(broker.url, LOADED_TABLES)
    with pytest.raises(psycopg2.Error):
        ahead_of_its_data(broker)
    assert tables_hash(broker.url, LOADED_TABLES) != before


def ahead_of_its_data(broker: Broker1) -> None:
    """The mistake that the tests above must notice: coverage committed before the records."""
    broker.loads.store(broker.run, CALL, WholeDelivery((), (), (), (covered(1),)), AT)
    broker.says(*BROKEN["no key"])


def test_records_are_new_unchanged_superseded_or_quarantined(broker: Broker1) -> None:
    broker.says(record("A", 5), record("A", 5, "9101"))
    loaded = broker.says(
        record("B", 6), record("A", 5, "9101"), record("A", 5, "9102"), record("old", 1, "9101"),
        rejects=[reject(key="9200"), reject(key=None)],
    )  # fmt: skip
    assert loaded.records == loaded.new_versions + loaded.unchanged + loaded.superseded + loaded.quarantined == 6
    assert (loaded.new_versions, loaded.quarantined) == (2, 2)
    stored = query(
        broker.url, "SELECT records, new_versions, unchanged, superseded, quarantined FROM loads ORDER BY 1 DESC"
    )
    assert stored[0] == counts(loaded)
    assert sqlstate(broker.url, "UPDATE loads SET records = records + 1") == CHECK_VIOLATED


def test_the_watermark_never_goes_back(broker: Broker1) -> None:
    broker.says(record("A"))
    told = covered(0, AT - timedelta(days=9)), Covered("U2", "ib_flex", "ALL", DAY, DAY, 0)
    earlier = WholeDelivery((), (), (), told)
    broker.loads.store(broker.run, CALL, earlier, AT)
    seen = query(broker.url, "SELECT account_id, last_record_at FROM sync_state ORDER BY 1")
    assert seen == [("U1", AT), ("U2", None)]


def test_a_failed_call_covers_nothing(broker: Broker1) -> None:
    broker.loads.store_failure(broker.run, CALL, RuntimeError("no answer"), AT)
    assert query(broker.url, "SELECT status, error FROM loads") == [("FAILED", "no answer")]
    assert broker.loads.covered_days(["ib_flex"], DAY, DAY) == []
    broker.says(record("A"))
    assert len(broker.loads.covered_days(["ib_flex"], DAY, DAY)) == 1


def test_days_told_while_they_could_still_change_are_asked_again(db: Database) -> None:
    today: date = value(db.url, "SELECT clock_timestamp()::date")
    loads = LoadRepository(db, Broker.IB)
    run = loads.begin_run(ASK)
    old, new = today - timedelta(days=20), today - timedelta(days=1)
    told = Covered("U1", "ib_flex", ALL_MARKETS, old, new, 0)
    loads.store(run, CALL, WholeDelivery((), (), (), (told,)), AT)
    ask = Ask(old, new, today)
    assert [(done.from_date, done.to_date) for done in loads.done(ask, 7)] == [(old, new)]
    loads.end_run(run, complete=True)
    assert [(done.from_date, done.to_date) for done in loads.done(ask, 7)] == [(old, today - timedelta(days=7))]
    assert loads.done(ask, 90) == []


def test_an_interrupted_run_is_continued_until_a_complete_one_settles_it(db: Database) -> None:
    today: date = value(db.url, "SELECT clock_timestamp()::date")
    loads = LoadRepository(db, Broker.IB)
    interrupted = loads.begin_run(ASK)
    loads.store(interrupted, CALL, WholeDelivery((), (), (), (Covered("U1", "ib_flex", "ALL", today, today, 0),)), AT)
    ask = Ask(today, today, today)
    assert len(loads.done(ask, 7)) == 1
    loads.end_run(loads.begin_run(ask), complete=False)
    assert len(loads.done(ask, 7)) == 1
    loads.end_run(loads.begin_run(ask), complete=True)
    assert loads.done(ask, 7) == []


def test_an_interrupted_run_is_not_continued_after_a_day(db: Database) -> None:
    today: date = value(db.url, "SELECT clock_timestamp()::date")
    loads = LoadRepository(db, Broker.IB)
    run = loads.begin_run(ASK)
    loads.store(run, CALL, WholeDelivery((), (), (), (Covered("U1", "ib_flex", "ALL", today, today, 0),)), AT)
    ask = Ask(today, today, today)
    query(db.url, "UPDATE load_runs SET started_at = started_at - interval '23 hours'")
    assert len(loads.done(ask, 7)) == 1
    query(db.url, "UPDATE load_runs SET started_at = started_at - interval '2 hours'")
    assert loads.done(ask, 7) == []
