"""One truth, told in every way in which IB may tell it, makes the same rows to the last column."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from multiprocessing import get_context
from pathlib import Path

import pytest

from apex_pipeline.live import Database, HistoryLoaderService, LoadStatus
from apex_pipeline.live.files import StatementImporter
from tests.cli.sql import rows
from tests.conftest import clone as cloned
from tests.faults.flex_book import ACCOUNTS, Book
from tests.faults.flex_book_cash import book
from tests.faults.flex_book_loading import (
    NOWHERE,
    business_days,
    configured,
    early,
    import_files,
    interrupted,
    load,
    load_in_process,
    months_of,
    shaped,
)
from tests.faults.flex_book_rows import differences, require_none
from tests.faults.flex_book_shapes import SHAPES, Shape, all_levels, unchanged
from tests.faults.flex_book_statements import (
    COMPACT,
    FORMATS,
    Dates,
    daily_document,
    document,
    parted_document,
    spaced_text_of,
    text_of,
    together,
)
from tests.faults.flex_service import FlexService

FACTS = 60
"""Beside one of every kind; enough for several of the common ones in each month."""

LARGE = 6_000

QUICK_DAYS = 75
"""Days of the book where every day is a file or a statement of its own."""

QUICK_FORMS = {"iso", "letters", "month_first", "short_year"}
DATED = [
    pytest.param(dates, id=name, marks=() if name in QUICK_FORMS else pytest.mark.slow)
    for name, dates in FORMATS.items()
]
SHAPED = [
    pytest.param(shape, id=shape.__name__, marks=pytest.mark.slow if number % 4 else ())
    for number, shape in enumerate(SHAPES)
]


@pytest.fixture(scope="module")
def truth() -> Book:
    return book(11, FACTS)


@pytest.fixture(scope="module")
def short() -> Book:
    """The same kinds of facts in few weeks."""
    return book(12, 20, days=QUICK_DAYS)


def test_the_book_holds_every_kind_of_fact(truth: Book) -> None:
    kinds = {one.kind for one in truth.entries}
    assert kinds == {"TRADE", "CANCEL", "ASSIGNMENT", "EXERCISE", "EXPIRATION"}
    assert {one.contract.category for one in truth.entries} == {"STK", "OPT", "FUT", "CASH"}
    assert any(one.trade_date < one.report_date and one.kind == "EXPIRATION" for one in truth.entries)
    assert any(one.original and not one.names_transaction for one in truth.entries)
    assert any(one.transaction_type == "TradeCorrect" for one in truth.entries)
    assert any(one.commission is None for one in truth.entries)
    assert any(one.commission and one.commission > 0 for one in truth.entries)
    assert any(one.trade_date > one.at.date() for one in truth.entries)
    assert {one.account for one in truth.entries} == set(ACCOUNTS)


def test_two_windows_tell_fourteen_months(db: Database, tmp_path: Path, truth: Book) -> None:
    with FlexService(truth, shaped(unchanged, truth), in_progress=1) as service:
        load(db, tmp_path, service, truth)
        orders = [one for one in service.requests if one.service == "SendRequest"]
    assert len(orders) == 2
    require_none(differences(db.url, truth))


def test_a_difference_in_any_column_would_be_seen(db: Database, tmp_path: Path, short: Book) -> None:
    import_files(db, tmp_path / "files", [text_of(document(short))])
    require_none(differences(db.url, short))
    some = next(one for one in short.entries if one.kind == "TRADE")
    some.price += 1
    try:
        assert differences(db.url, short)
    finally:
        some.price -= 1
    missing = replace(short, entries=short.entries[1:])
    assert differences(db.url, missing)


def test_one_window_of_a_year_tells_that_year(db: Database, tmp_path: Path, truth: Book) -> None:
    year = truth.part(truth.last - timedelta(days=364), truth.last)
    with FlexService(truth, shaped(unchanged, truth)) as service:
        load(db, tmp_path, service, year)
        assert len([one for one in service.requests if one.service == "SendRequest"]) == 1
    require_none(differences(db.url, year))


@pytest.mark.parametrize("shape", SHAPED)
def test_the_shape_of_a_document_changes_no_row(db: Database, tmp_path: Path, short: Book, shape: Shape) -> None:
    with FlexService(short, shaped(shape, short)) as service:
        load(db, tmp_path, service, short)
    require_none(differences(db.url, short))


@pytest.mark.parametrize("dates", DATED)
def test_the_form_of_dates_changes_no_row(db: Database, tmp_path: Path, short: Book, dates: Dates) -> None:
    with FlexService(short, lambda part: text_of(document(part, dates))) as service:
        load(db, tmp_path, service, short)
    require_none(differences(db.url, short))


@pytest.mark.parametrize("form", ["iso", "month_name"])
def test_levels_in_other_forms_of_dates_change_no_row(db: Database, tmp_path: Path, short: Book, form: str) -> None:
    root = document(short, FORMATS[form])
    all_levels(root, short)
    import_files(db, tmp_path / "files", [text_of(root)])
    require_none(differences(db.url, short))


@pytest.mark.parametrize("seed", [21, 22])
def test_files_of_all_shapes_and_forms_change_no_row(db: Database, tmp_path: Path, seed: int) -> None:
    dice, whole = random.Random(seed), book(seed, 20, days=QUICK_DAYS)
    forms = [dates for dates in FORMATS.values() if "/" not in dates.day]
    contents: list[str] = []
    for span in months_of(whole):
        root = document(whole.part(*span), dice.choice(forms))
        dice.choice(SHAPES)(root, whole)
        contents.append(dice.choice([text_of, spaced_text_of])(root))
    import_files(db, tmp_path / "files", contents, shuffle=seed)
    require_none(differences(db.url, whole))


def test_blanks_comments_and_instructions_change_no_row(db: Database, tmp_path: Path, short: Book) -> None:
    with FlexService(short, lambda part: spaced_text_of(document(part))) as service:
        load(db, tmp_path, service, short)
    require_none(differences(db.url, short))


def test_one_statement_a_day_in_one_answer_changes_no_row(db: Database, tmp_path: Path, truth: Book) -> None:
    with FlexService(truth, lambda part: text_of(daily_document(part))) as service:
        load(db, tmp_path, service, truth)
    require_none(differences(db.url, truth))


def test_overlapping_statements_in_one_document_change_no_row(db: Database, tmp_path: Path, truth: Book) -> None:
    spans = months_of(truth)
    random.Random(3).shuffle(spans)
    import_files(db, tmp_path / "files", [text_of(parted_document(truth, spans))])
    require_none(differences(db.url, truth))


@pytest.mark.parametrize("form", [pytest.param("letters", marks=pytest.mark.slow), "month_first"])
def test_weeks_that_are_asked_for_in_any_order_change_no_row(
    db: Database, tmp_path: Path, short: Book, form: str
) -> None:
    weeks = [(first, min(first + timedelta(days=4), short.last)) for first in short.days()[::5]]
    random.Random(5).shuffle(weeks)
    with FlexService(short, lambda part: text_of(document(part, FORMATS[form]))) as service:
        for first, last in weeks:
            load(db, tmp_path, service, replace(short, first=first, last=last))
    require_none(differences(db.url, short))


@pytest.mark.parametrize("form", ["month_first", "day_first"])
def test_dates_that_prove_nothing_are_never_read_the_wrong_way_round(
    db: Database, tmp_path: Path, short: Book, form: str
) -> None:
    start = next(day for day in business_days(short) if day.day <= 3)
    some = short.part(start, start + timedelta(days=12 - start.day))
    plain = [one for one in some.entries if not one.contract.expiry and one.settle_date.day <= 12]
    some = replace(some, entries=plain, last=start + timedelta(days=11 - start.day))
    (tmp_path / "file.xml").write_text(text_of(document(some, FORMATS[form])), encoding="utf-8")
    importer = StatementImporter(db, configured(NOWHERE, tmp_path))
    _ = importer.load_paths([tmp_path / "file.xml"])
    true = {(one.account, one.transaction_id): (one.trade_date, one.at) for one in some.entries}
    held = rows(db.url, "SELECT account_id, broker_trade_id, trade_date, executed_at FROM trades_norm")
    assert all(
        true[row["account_id"], row["broker_trade_id"]] == (row["trade_date"], row["executed_at"]) for row in held
    )
    lost = rows(db.url, "SELECT count(*) FROM quarantine WHERE kind = 'trades'")[0]["count"]
    assert len(held) + lost == len(some.entries) > 0


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_overlapping_months_in_any_order_change_no_row(db: Database, tmp_path: Path, truth: Book, seed: int) -> None:
    contents = [text_of(document(truth.part(*span))) for span in months_of(truth)]
    import_files(db, tmp_path / "files", contents, shuffle=seed)
    require_none(differences(db.url, truth))


def test_a_file_for_each_day_changes_no_row(db: Database, tmp_path: Path, short: Book) -> None:
    contents = [text_of(document(short.part(day, day))) for day in business_days(short)]
    import_files(db, tmp_path / "files", contents)
    require_none(differences(db.url, short))


def test_a_file_for_each_account_changes_no_row(db: Database, tmp_path: Path, short: Book) -> None:
    contents = [text_of(document(short, accounts=[account])) for account in ACCOUNTS]
    import_files(db, tmp_path / "files", contents, shuffle=1)
    require_none(differences(db.url, short))


def test_the_same_file_twice_changes_no_row(db: Database, tmp_path: Path, short: Book) -> None:
    contents = [text_of(document(short))] * 2
    import_files(db, tmp_path / "files", contents, shuffle=1)
    require_none(differences(db.url, short))


@pytest.mark.parametrize("newest_first", [True, False], ids=["newest_first", "oldest_first"])
@pytest.mark.parametrize("dates", [COMPACT, FORMATS["letters"]], ids=["compact", "letters"])
def test_an_older_version_changes_no_row_whenever_it_arrives(
    db: Database, tmp_path: Path, short: Book, newest_first: bool, dates: Dates
) -> None:
    written = datetime.combine(short.last, clock(9), UTC) + timedelta(days=1)
    older = text_of(document(early(short), dates, written=written))
    newer = text_of(document(short, dates, written=written + timedelta(hours=7)))
    for number, content in enumerate([newer, older] if newest_first else [older, newer]):
        import_files(db, tmp_path / f"{number}", [content])
    require_none(differences(db.url, short))


@pytest.mark.parametrize("newest_first", [True, False], ids=["newest_first", "oldest_first"])
def test_an_older_version_in_the_same_document_changes_no_row(
    db: Database, tmp_path: Path, short: Book, newest_first: bool
) -> None:
    written = datetime.combine(short.last, clock(9), UTC) + timedelta(days=1)
    both = [document(early(short), written=written), document(short, written=written + timedelta(minutes=1))]
    content = text_of(together(*reversed(both) if newest_first else both))
    import_files(db, tmp_path / "files", [content])
    require_none(differences(db.url, short))


def test_a_file_that_broke_off_changes_no_row(db: Database, tmp_path: Path, short: Book) -> None:
    content = text_of(document(short))
    (tmp_path / "half.xml").write_text(content[: len(content) * 2 // 3], encoding="utf-8")
    importer = StatementImporter(db, configured(NOWHERE, tmp_path))
    (told,) = importer.load_paths([tmp_path / "half.xml"]).files
    assert told.error
    assert "\n" not in told.error
    assert rows(db.url, "SELECT count(*) FROM trades_raw_ib")[0]["count"] == 0
    import_files(db, tmp_path / "files", [f"\ufeff{content}"])
    require_none(differences(db.url, short))


def test_loads_that_were_interrupted_and_repeated_change_no_row(db: Database, tmp_path: Path, truth: Book) -> None:
    with FlexService(truth, shaped(unchanged, truth)) as service:
        loader = HistoryLoaderService(db, configured(service.url, tmp_path))
        service.render = interrupted(service.render, after=1)
        told = loader.load_ib_history(from_date=truth.first, to_date=truth.last)
        assert told.status is LoadStatus.PARTIAL
        assert len(told.errors) == 1
        service.render = shaped(unchanged, truth)
        load(db, tmp_path, service, truth)
        load(db, tmp_path, service, truth, force=True)
    require_none(differences(db.url, truth))


@pytest.mark.parametrize("seconds", [0.15, *(pytest.param(later, marks=pytest.mark.slow) for later in (0.0, 0.4, 0.7))])
def test_a_load_that_is_killed_and_repeated_changes_no_row(
    db: Database, tmp_path: Path, truth: Book, seconds: float
) -> None:
    with FlexService(truth, shaped(unchanged, truth)) as service:
        process = get_context("spawn").Process(target=load_in_process, args=(db.url, tmp_path, service.url, truth))
        process.start()
        while process.is_alive() and len(service.requests) < 2:
            time.sleep(0.01)
        time.sleep(seconds)
        process.kill()
        process.join()
        load(db, tmp_path, service, truth)
    require_none(differences(db.url, truth))


@pytest.fixture(scope="module")
def large() -> Book:
    return book(13, LARGE)


@pytest.mark.slow
def test_a_large_book_arrives_in_every_way(server_url: str, template: str, tmp_path: Path, large: Book) -> None:
    ways: dict[str, Callable[[Book], str]] = {
        "whole": shaped(unchanged, large),
        "levels": shaped(all_levels, large),
        "daily": lambda part: text_of(daily_document(part, FORMATS["iso_letters"])),
        "slashed": lambda part: spaced_text_of(document(part, FORMATS["day_first"])),
    }
    for name, render in ways.items():
        for url in cloned(server_url, template):
            with Database(url) as db, FlexService(large, render) as service:
                load(db, tmp_path / name, service, large)
            require_none(differences(url, large))


@pytest.mark.slow
def test_a_large_book_arrives_in_files_of_days_and_of_months(db: Database, tmp_path: Path, large: Book) -> None:
    months = [text_of(document(large.part(*span))) for span in months_of(large)]
    days = [text_of(document(large.part(day, day))) for day in business_days(large)]
    import_files(db, tmp_path / "months", months[::2], shuffle=1)
    import_files(db, tmp_path / "days", days)
    import_files(db, tmp_path / "again", months[1::2], shuffle=2)
    require_none(differences(db.url, large))
