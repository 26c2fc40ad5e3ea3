"""The check of the bookkeeping of loads: watermarks and covered days claim no more than was loaded."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg2 import sql

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.store.db import Database
from tests.store import coverage_book as book
from tests.store.check_rows import compared, findings
from tests.store.coverage_book import FUTU, IB, asked_futu, moment, raw, told
from tests.store.rows import query

AHEAD = CheckName.NO_WATERMARK_IS_AHEAD_OF_ITS_DATA
MONDAY, TUESDAY, THURSDAY, FRIDAY = (date(2026, 3, day) for day in (2, 3, 5, 6))
NEXT_MONDAY = date(2026, 3, 9)
WEEK = (MONDAY, FRIDAY)


def ahead(db: Database) -> list[tuple[str, date | None, Decimal | None, Decimal | None, str]]:
    rows = findings(db, AHEAD, MONDAY, NEXT_MONDAY)
    assert {(row.severity, row.cause) for row in rows} <= {(Severity.ERROR, "PIPELINE")}
    return [(row.subject, row.business_date, row.expected, row.actual, row.evidence["what"]) for row in rows]


def orders_loaded(db: Database) -> int:
    """Orders of a week, the newest of Thursday at ten, and their watermark."""
    newest = moment(THURSDAY, 10)
    load = asked_futu(db, "futu_orders", WEEK, records=2)
    raw(db, load, "orders", FUTU, "a", TUESDAY, payload={"createTimestamp": moment(TUESDAY).timestamp()})
    raw(db, load, "orders", FUTU, "b", THURSDAY, payload={"createTimestamp": newest.timestamp() + 0.25})
    query(db.url, "UPDATE sync_state SET last_record_at = %s", newest + timedelta(milliseconds=250))
    return load


def test_loads_that_claim_what_they_brought_agree(db: Database) -> None:
    orders_loaded(db)
    asked_futu(db, "futu_cash", (FRIDAY, FRIDAY), covered=(FRIDAY, date(2026, 3, 8)))
    told(db, WEEK, (MONDAY, THURSDAY))
    assert ahead(db) == []
    assert compared(db, AHEAD, MONDAY, NEXT_MONDAY) == 6


def test_a_watermark_that_speaks_of_a_newer_record_than_is_stored_is_ahead(db: Database) -> None:
    load = orders_loaded(db)
    query(db.url, "UPDATE sync_state SET last_record_at = last_record_at + interval '90 minutes'")
    assert ahead(db) == [("100 futu_orders", FRIDAY, Decimal(0), Decimal("1.5000"), "no such record is stored")]
    evidence = findings(db, AHEAD, FRIDAY)[0].evidence
    assert (evidence["newest_known"][:19], evidence["newest_load"]) == ("2026-03-05T10:00:00", load)
    raw(db, load, "orders", FUTU, "b", FRIDAY, payload={"createTime": "at some time of Friday"})
    assert ahead(db) == [], "a record whose moment is not read may be as late as its day"


def test_an_earlier_version_of_a_record_bears_out_a_watermark(db: Database) -> None:
    load = orders_loaded(db)
    raw(db, load, "orders", FUTU, "b", THURSDAY, payload={"createTimestamp": moment(THURSDAY, 9).timestamp()})
    assert ahead(db) == []


@pytest.mark.parametrize("written", ["20260305;101500", "2026-03-05, 10:15:00", "05/03/2026;101500"])
def test_moments_of_statements_are_read_in_new_york(db: Database, written: str) -> None:
    load = told(db, WEEK)
    raw(db, load, "trades", IB, "1", THURSDAY, payload={"dateTime": written})
    newest = datetime(2026, 3, 5, 15, 15, tzinfo=UTC)
    query(db.url, "UPDATE sync_state SET last_record_at = %s", newest)
    assert ahead(db) == []
    query(db.url, "UPDATE sync_state SET last_record_at = %s", newest + timedelta(days=2))
    assert [row[4] for row in ahead(db)] == ["no such record is stored"]


def test_the_trades_of_a_futures_segment_are_those_of_its_account(db: Database) -> None:
    load = told(db, WEEK)
    raw(db, load, "trades", IB, "1", TUESDAY, payload={"dateTime": "20260303;101500"})
    raw(db, load, "trades", f"{IB}F", "2", THURSDAY, payload={"dateTime": "20260305;101500"})
    query(db.url, "UPDATE sync_state SET last_record_at = '2026-03-05 15:15Z'")
    assert ahead(db) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("last_sync_at = now() + interval '2 hours'", "no load ended when it was moved"),
        ("records = 3", "no load covered so many records"),
        ("market = 'HK'", "no load covers anything of it"),
    ],
)
def test_a_watermark_that_no_load_moved_so_is_found(db: Database, change: str, what: str) -> None:
    orders_loaded(db)
    query(db.url, sql.SQL("UPDATE sync_state SET " + change))  # pyright: ignore[reportArgumentType] - written above
    assert [(row[1], row[4]) for row in ahead(db)] == [(FRIDAY, what)]


@pytest.mark.parametrize(
    ("change", "days", "what"),
    [
        ("UPDATE load_coverage SET to_date = '2026-03-09'", (0, 3), "the load was not asked for these days"),
        ("UPDATE load_coverage SET from_date = '2026-03-01'", (0, 1), "the load was not asked for these days"),
        ("UPDATE load_coverage SET records = 5", (2, 5), "the load brought fewer records"),
        ("UPDATE loads SET status = 'FAILED'", (1, 0), "the load is not complete"),
        ("UPDATE loads SET finished_at = '2026-03-04 12:00Z'", (0, 1), "these days had not begun when the load ended"),
    ],
)
def test_covered_days_that_their_load_does_not_bear_out_are_found(
    db: Database, change: Any, days: tuple[int, int], what: str
) -> None:
    load = orders_loaded(db)
    query(db.url, change)
    query(db.url, "UPDATE sync_state SET last_sync_at = (SELECT max(finished_at) FROM loads)")
    [found] = findings(db, AHEAD, MONDAY, NEXT_MONDAY)
    assert found.subject.endswith(f"of load {load}")
    assert (found.business_date, found.expected, found.actual, found.evidence["what"]) == (FRIDAY, *days, what)
    assert (found.severity, found.cause) == (Severity.ERROR, "PIPELINE")


def test_days_that_count_as_covered_without_any_answer_are_found(db: Database) -> None:
    load = book.loaded(db, "futu_deals", WEEK, account_id=FUTU)
    book.covers(db, load, FUTU, WEEK)
    assert [row[4] for row in ahead(db)] == ["nothing of what the load received is kept"]


def test_the_days_of_fees_are_covered_by_the_last_of_several_loads(db: Database) -> None:
    first = book.loaded(db, "futu_fees", WEEK, account_id=FUTU, records=400)
    run = query(db.url, "SELECT run_id FROM loads WHERE load_id = %s", first)[0][0]
    last = book.loaded(db, "futu_fees", WEEK, account_id=FUTU, records=7, run_id=run)
    book.received(db, last, {}, "Trd_GetOrderFee")
    book.covers(db, last, FUTU, WEEK, records=407)
    assert ahead(db) == []
    query(db.url, "UPDATE load_coverage SET records = 408")
    assert [row[2:] for row in ahead(db)] == [(407, 408, "the load brought fewer records")]


def test_states_and_files_are_asked_for_no_days(db: Database) -> None:
    state = asked_futu(db, "futu_funds", (THURSDAY, THURSDAY), covered=(FRIDAY, FRIDAY))
    raw(db, state, "balances", FUTU, "2026-03-06", FRIDAY, generated_at=moment(FRIDAY))
    query(db.url, "UPDATE sync_state SET last_record_at = %s", moment(FRIDAY))
    load = book.loaded(db, "ib_flex", (MONDAY, MONDAY))
    book.received(db, load, book.FILE)
    book.covers(db, load, IB, WEEK)
    assert ahead(db) == []
