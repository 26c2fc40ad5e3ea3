"""Statements on disk end in the same rows whatever their order, and however often they are loaded."""

import gzip
import os
import random
import zipfile
import zlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from psycopg2 import sql

from apex_pipeline import settings
from apex_pipeline.brokers.ib.statement_writer import StatementWriter
from apex_pipeline.brokers.scenario import Scenario, truth
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker
from apex_pipeline.live import Database, LoadStatus
from apex_pipeline.live.files import ImportResult, StatementImporter
from tests.brokers.ib.statements import ACCOUNT, document, row, statement
from tests.live.conftest import Desk, days_ago
from tests.store.rows import query, value

START, END = date(2026, 1, 1), date(2026, 6, 30)
KEYS = {
    "orders_raw_ib": "account_id, record_key", "trades_raw_ib": "account_id, record_key",
    "fees_raw_ib": "account_id, record_key", "orders_norm": "order_uid", "trades_norm": "trade_uid",
    "fees_norm": "fee_uid", "instruments": "symbol", "order_strategy_map": "order_uid, strategy_uid",
    "recon_breaks": "break_uid",
}  # fmt: skip
HISTORY = {"recon_breaks": "state = 'CLOSED' OR check_name = 'time_weighted_return_equals_the_brokers'"}
"""What disagreed for a while depends on the order of loading, and returns on the windows of the statements."""
OF_A_LOAD = ["load_id", "fetched_at", "first_seen_at", "last_seen_at", "updated_at", "seq"]


def importer(db: Database) -> StatementImporter:
    return StatementImporter(db, settings.load(environ={}, config_file=Path("no.yaml")))


def imported(db: Database, *paths: Path) -> ImportResult:
    return importer(db).load_paths(paths)


def business_rows(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Every business row as JSON, without what only says when it was loaded."""
    text = sql.SQL("SELECT (to_jsonb(t) - %s::text[])::text FROM {} t WHERE NOT ({}) ORDER BY {}")
    return {
        name: query(
            url,
            text.format(sql.Identifier(name), sql.SQL(HISTORY.get(name, "false")), sql.SQL(key)),  # pyright: ignore[reportArgumentType]  # both are written above
            OF_A_LOAD,
        )
        for name, key in KEYS.items()
    }


def saved(folder: Path, *contents: bytes) -> list[Path]:
    """These documents as files 0.xml, 1.xml, …"""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.xml" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        _ = path.write_bytes(content)
    return paths


@contextmanager
def opened(url: str) -> Generator[Database]:
    with Database(url) as db:
        yield db


@pytest.fixture(scope="module")
def half_year() -> Scenario:
    """Trades of the first half of 2026."""
    return generate(seed=29, orders=120, days=(END - START).days + 1, end=END)


@pytest.fixture(scope="module")
def statements(half_year: Scenario) -> list[bytes]:
    """The scenario in six monthly statements, one of the whole half-year, and one over two months written later."""
    writer = StatementWriter(half_year)
    months = [(date(2026, month, 1), date(2026, month + 1, 1) - timedelta(days=1)) for month in range(1, 7)]
    spans = [*months, (START, END), (date(2026, 2, 10), date(2026, 4, 20))]
    written = [datetime(2026, 7, 5 + number, 9, tzinfo=UTC) for number in range(len(spans))]
    return [writer.render(*span, at) for span, at in zip(spans, written, strict=True)]


def versions() -> list[bytes]:
    """One trade told five times: at first wrong, then right, then unchanged; and without any date of writing."""
    told = (
        ("20260309;050000", "200.5"),
        ("20260310;050000", "201.25"),
        ("20260316;050000", "200.5"),
        ("20260312;050000", "207"),
        ("absent", "199"),
    )
    return [
        document(statement(row(tradePrice=price) + another(number), whenGenerated=stamp))
        for number, (stamp, price) in enumerate(told)
    ]


def another(number: int) -> str:
    """A trade that only one document tells."""
    return row(transactionID=f"77{number}", ibExecID=f"x{number}", ibOrderID=f"88{number}")


def test_a_history_on_disk_is_loaded_to_the_last_order(
    db: Database, tmp_path: Path, half_year: Scenario, statements: Sequence[bytes]
) -> None:
    result = imported(db, *saved(tmp_path, *statements[:6]))
    assert (result.status, result.unreadable) == (LoadStatus.SUCCESS, 0)
    expected = truth(half_year)[Broker.IB]
    assert value(db.url, "SELECT count(*) FROM orders_norm") == expected.orders
    assert value(db.url, "SELECT count(*) FROM trades_norm WHERE effective") == expected.trades
    fees = {
        str(name): amount for name, amount in query(db.url, "SELECT currency, sum(amount) FROM fees_norm GROUP BY 1")
    }
    assert {name: amount for name, amount in fees.items() if amount} == expected.fees
    assert value(db.url, "SELECT count(*) FROM order_strategy_map") >= expected.orders
    assert value(db.url, "SELECT count(*) FROM dirty_days") == 0
    assert set(result.uncovered) == set(half_year.accounts[Broker.IB])
    assert not any(result.uncovered.values())


@pytest.mark.parametrize("seed", [1, *(pytest.param(more, marks=pytest.mark.slow) for more in (2, 3))])
def test_any_order_of_overlapping_files_ends_in_the_same_rows(
    database_url: str, other_url: str, tmp_path: Path, statements: Sequence[bytes], seed: int
) -> None:
    paths = saved(tmp_path, *statements, *versions())
    shuffled = list(paths)
    random.Random(seed).shuffle(shuffled)
    with opened(database_url) as db:
        imported(db, *paths)
    with opened(other_url) as other:
        for path in shuffled:
            imported(other, path)
    ours, theirs = business_rows(database_url), business_rows(other_url)
    assert ours == theirs
    assert all(ours[name] for name in KEYS if name != "recon_breaks")
    assert value(other_url, "SELECT price FROM trades_norm WHERE broker_trade_id = '9001'") == Decimal("200.5")


def test_rows_that_differ_between_two_databases_would_be_noticed(db: Database, tmp_path: Path, other_url: str) -> None:
    first, *_ = saved(tmp_path, *versions())
    imported(db, first)
    with opened(other_url) as other:
        imported(other, first)
        assert business_rows(db.url) == business_rows(other.url)
        query(other.url, "UPDATE trades_norm SET price = price + 1")
        assert business_rows(db.url) != business_rows(other.url)


def test_an_older_statement_is_kept_as_history_and_changes_no_row(db: Database, tmp_path: Path) -> None:
    older, newer, *_ = saved(tmp_path, *versions())
    imported(db, newer)
    (file,) = imported(db, older).files
    assert (file.new_versions, file.superseded) == (2, 1)
    assert value(db.url, "SELECT price FROM trades_norm WHERE broker_trade_id = '9001'") == Decimal("201.25")
    assert value(db.url, "SELECT count(*) FROM raw_versions WHERE record_key = '9001' AND payload ? 'tradePrice'") == 1


def test_a_statement_without_a_date_of_writing_does_not_displace_a_dated_one(db: Database, tmp_path: Path) -> None:
    paths = saved(tmp_path, *versions())
    imported(db, paths[0])
    imported(db, paths[4])
    assert value(db.url, "SELECT price FROM trades_norm WHERE broker_trade_id = '9001'") == Decimal("200.5")


def test_loading_again_brings_nothing_new_and_keeps_one_document(
    db: Database, tmp_path: Path, statements: Sequence[bytes]
) -> None:
    plain = saved(tmp_path, statements[0])[0]
    _ = (tmp_path / "again.xml.gz").write_bytes(gzip.compress(statements[0]))
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("some/where/jan.xml", statements[0])
        archive.writestr("jan_too.xml", statements[0])
    first, *others = imported(db, plain, tmp_path).files
    assert first.new_versions == first.records > 0
    assert [(file.unchanged, file.new_versions, file.superseded) for file in others] == [(first.records, 0, 0)] * 3
    before = business_rows(db.url)
    assert imported(db, tmp_path).status is LoadStatus.SUCCESS
    assert business_rows(db.url) == before
    assert query(db.url, "SELECT count(*), min(byte_size) FROM raw_documents") == [(1, len(statements[0]))]
    assert value(db.url, "SELECT count(*) FROM raw_observations") == 8


def test_the_same_statement_from_the_web_and_from_disk_is_one_document(desk: Desk, tmp_path: Path) -> None:
    assert desk.loader.load_ib_history(from_date=days_ago(60)).status is LoadStatus.SUCCESS
    ((packed,),) = query(desk.db.url, "SELECT content FROM raw_documents WHERE media_type = 'application/xml'")
    (path,) = saved(tmp_path / "disk", zlib.decompress(bytes(packed)))
    before = business_rows(desk.db.url)
    (file,) = imported(desk.db, path).files
    assert (file.new_versions, file.superseded, file.quarantined) == (0, 0, 0)
    assert file.unchanged == file.records > 0
    assert value(desk.db.url, "SELECT count(*) FROM raw_documents WHERE media_type = 'application/xml'") == 1
    assert business_rows(desk.db.url) == before


def test_what_cannot_be_read_does_not_keep_the_rest_out(db: Database, tmp_path: Path) -> None:
    good = document(statement(row()))
    whole = imported(db, *saved(tmp_path / "whole", good))
    assert whole.status is LoadStatus.SUCCESS
    result = imported(
        db, *saved(tmp_path / "mixed", good[:-9], b"<pom />", document(statement(row(transactionID="2"))))
    )
    assert result.status is LoadStatus.PARTIAL
    assert [bool(file.error) for file in result.files] == [True, True, False]
    assert value(db.url, "SELECT count(*) FROM trades_raw_ib") == 2
    assert imported(db, *saved(tmp_path / "bad", b"<pom />")).status is LoadStatus.FAILED


def test_a_row_in_quarantine_is_told_and_the_rest_of_its_file_loads(db: Database, tmp_path: Path) -> None:
    content = document(statement(row() + row(transactionID="2", tradeDate="20260231", ibExecID="y")))
    result = imported(db, *saved(tmp_path, content))
    assert (result.status, result.files[0].quarantined) == (LoadStatus.PARTIAL, 1)
    assert value(db.url, "SELECT count(*) FROM trades_norm") == 1


def test_a_record_that_no_rule_can_read_is_told(db: Database, tmp_path: Path) -> None:
    paths = saved(tmp_path, document(statement(row() + row(transactionID="2", tradePrice="abc", ibExecID="y"))))
    for _ in range(2):
        result = imported(db, *paths)
        assert (result.status, result.unreadable) == (LoadStatus.PARTIAL, 1)


def test_weekdays_between_the_statements_that_nobody_told_are_named(db: Database, tmp_path: Path) -> None:
    def of(first: str, last: str) -> bytes:
        return document(statement(fromDate=first, toDate=last, whenGenerated="20260401;050000"))

    result = imported(
        db, *saved(tmp_path, of("20260302", "20260306"), of("20260309", "20260310"), of("20260318", "20260320"))
    )
    assert [str(days) for days in result.uncovered[ACCOUNT]] == ["2026-03-11..2026-03-17"]
    assert result.status is LoadStatus.SUCCESS
    assert imported(db, *saved(tmp_path / "rest", of("20260311", "20260317"))).uncovered == {ACCOUNT: ()}


def test_nothing_that_is_kept_names_a_folder_of_the_machine(db: Database, tmp_path: Path) -> None:
    imported(db, *saved(tmp_path / "secret_place", *versions()))
    kept = query(db.url, "SELECT DISTINCT request::text FROM raw_observations ORDER BY 1")
    assert kept[0] == ('{"file": "0.xml", "service": "file"}',)
    assert len(kept) == 5
    found = sql.SQL("SELECT count(*) FROM {} t WHERE strpos(t::text, %s) > 0")
    for table in ("loads", "load_runs", "raw_observations", "quarantine"):
        assert value(db.url, found.format(sql.Identifier(table)), "secret_place") == 0
    assert value(db.url, found.format(sql.Identifier("raw_observations")), "0.xml") == 1


def test_an_interrupted_import_is_finished_by_the_next_one(db: Database, tmp_path: Path) -> None:
    class Stopped(Exception):
        """What a person pressing Ctrl-C is for this test."""

    def stop(what: str, _done: int, _of: int) -> None:
        if what.startswith("normalizing"):
            raise Stopped

    first, second = saved(tmp_path, *versions()[:2])
    with pytest.raises(Stopped):
        importer(db).load_paths([first], stop)
    assert value(db.url, "SELECT count(*) FROM trades_raw_ib") == 2
    assert value(db.url, "SELECT count(*) FROM trades_norm") == 0
    imported(db, second)
    assert value(db.url, "SELECT count(*) FROM trades_norm") == 3


def samples() -> Path:
    folder = Path(os.environ.get("APEX_SAMPLES", "/nonexistent")) / "flex"
    if not folder.is_dir():
        pytest.skip("APEX_SAMPLES names no folder with flex samples")
    return folder


def test_public_samples_load_or_are_refused_with_one_line(db: Database) -> None:
    result = imported(db, samples())
    refused = {Path(file.file).name: file.error for file in result.files if file.error}
    assert set(refused) == {"malformed_unclosed_section.xml"}
    assert all(len(str(error).splitlines()) == 1 for error in refused.values())
    again = imported(db, samples())
    assert sum(file.new_versions for file in again.files) == 0
    assert [file.error for file in again.files] == [file.error for file in result.files]
