"""A token's limits hold across everything that uses it, and no bad answer ends in a wrong or endless load."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from apex_pipeline import settings
from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings as FlexSettings
from apex_pipeline.domain.records import ALL_MARKETS, Call
from apex_pipeline.errors import BrokerError, BrokerUnavailable
from apex_pipeline.live import Database, HistoryLoaderService, LoadStatus, history
from apex_pipeline.settings import IbSettings, Settings
from tests.cli.sql import rows
from tests.faults.flex_book import Book
from tests.faults.flex_book_cash import book
from tests.faults.flex_book_rows import differences, require_none
from tests.faults.flex_book_statements import document, text_of
from tests.faults.flex_service import (
    CUT,
    DROPPED,
    HALF_A_DOCUMENT,
    QUERY,
    SILENT,
    SLOW,
    TOKEN,
    UNAVAILABLE,
    WEB_PAGE,
    FlexService,
    Trouble,
)

GAP = 1.0
"""Seconds that IB wants between two requests of a token."""

LOADS = 2
FAST = 100_000
"""Requests a minute that no test reaches."""

BROKEN = {
    "503": UNAVAILABLE,
    "web_page": WEB_PAGE,
    "dropped": DROPPED,
    "cut": CUT,
    "half": HALF_A_DOCUMENT,
    "500": Trouble(500, ""),
    "empty": Trouble(200, ""),
    "words": Trouble(200, "OK"),
    "other_xml": Trouble(200, "<rss/>"),
    "429": Trouble(429, "no"),
}
SURVIVED = {
    **BROKEN,
    "1001": Trouble(code=1001),
    "1009": Trouble(code=1009),
    "1018": Trouble(code=1018),
    "1019": Trouble(code=1019),
    "1021": Trouble(code=1021),
}
FATAL = {
    **BROKEN,
    "1001": Trouble(code=1001),
    "1018": Trouble(code=1018),
    "1006": Trouble(code=1006),
    "1015": Trouble(code=1015),
    "1014": Trouble(code=1014),
    "1234": Trouble(code=1234),
    "403": Trouble(403, "no"),
}


@pytest.fixture(scope="module")
def weeks() -> Book:
    """A few facts of a few weeks."""
    return book(31, days=60)


@pytest.fixture
def service(weeks: Book) -> Iterator[FlexService]:
    with FlexService(weeks, lambda part: text_of(document(part))) as running:
        yield running


def configured(home: Path, url: str, per_minute: int, token: str = TOKEN) -> Settings:
    """Settings without pauses, so that only the limits hold requests back."""
    return replace(
        settings.load(environ={}, config_file=home / "no.yaml"),
        home=home, brokers=("ib",), ib=IbSettings(url, token, QUERY, per_minute, 0.001),
    )  # fmt: skip


def load_once(database_url: str, home: Path, url: str, per_minute: int, whole: Book) -> tuple[str, ...]:
    """Load the whole book, done before or not, in whatever process this runs; returns the errors."""
    with Database(database_url) as db:
        loader = HistoryLoaderService(db, configured(home, url, per_minute))
        return loader.load_ib_history(from_date=whole.first, to_date=whole.last, force=True).errors


def fetch_once(database_url: str, settings_: Settings, days: tuple[date, date]) -> int:
    """Fetch one window past the lock that lets loads wait for each other; returns the records."""
    with Database(database_url) as db:
        loader = HistoryLoaderService(db, settings_)
        with loader.port("ib").connect(loader.limit("ib")) as session:
            return sum(1 for _ in session.fetch(Call("ib_flex", None, ALL_MARKETS, *days)).records)


def fetch_at_once(database_url: str, some: list[Settings], whole: Book) -> list[int]:
    """Fetch with all of these settings at the same time, each in a thread and a database object of its own."""
    with ThreadPoolExecutor(len(some)) as pool:
        tasks = [pool.submit(fetch_once, database_url, one, (whole.first, whole.last)) for one in some]
        return [task.result() for task in tasks]


def fetched(service: FlexService, whole: Book, poll_seconds: float = 0.001, deadline: float = 60) -> int:
    """The records in one window of the service, asked for without a limit and without a database."""
    broker = IbBroker(FlexSettings(service.url, TOKEN, QUERY, poll_seconds, FAST, deadline))
    with broker.connect(lambda _: None) as session:
        return sum(1 for _ in session.fetch(Call("ib_flex", None, ALL_MARKETS, whole.first, whole.last)).records)


def gaps(times: list[float], reach: int = 1) -> list[float]:
    """Seconds from each request to the `reach`-th after it."""
    return [late - early for early, late in zip(times, times[reach:], strict=False)]


def test_two_processes_with_one_token_keep_a_second_between_requests(
    database_url: str, service: FlexService, weeks: Book, tmp_path: Path
) -> None:
    with ProcessPoolExecutor(LOADS, get_context("spawn")) as pool:
        tasks = [pool.submit(load_once, database_url, tmp_path, service.url, 10, weeks) for _ in range(LOADS)]
        assert [task.result() for task in tasks] == [()] * LOADS
    assert len(service.times()) == LOADS * 2
    assert min(gaps(service.times())) >= GAP
    require_none(differences(database_url, weeks))


def test_two_threads_that_fetch_at_once_keep_a_second_between_requests(
    database_url: str, service: FlexService, weeks: Book, tmp_path: Path
) -> None:
    assert len(set(fetch_at_once(database_url, [configured(tmp_path, service.url, 10)] * LOADS, weeks))) == 1
    assert len(service.times()) == LOADS * 2
    assert min(gaps(service.times())) >= GAP


def test_two_tokens_do_not_wait_for_each_other(
    database_url: str, service: FlexService, weeks: Book, tmp_path: Path
) -> None:
    some = [configured(tmp_path, service.url, 10, TOKEN + suffix) for suffix in ("", "1")]
    fetch_at_once(database_url, some, weeks)
    assert min(gaps(service.times())) < GAP
    assert all(min(gaps(service.times(TOKEN + suffix))) >= GAP for suffix in ("", "1"))


def test_without_the_limit_requests_would_follow_each_other_at_once(
    database_url: str, service: FlexService, weeks: Book, tmp_path: Path
) -> None:
    fetch_at_once(database_url, [configured(tmp_path, service.url, FAST)] * LOADS, weeks)
    assert min(gaps(service.times())) < GAP


def test_no_window_of_time_holds_more_requests_than_allowed(
    database_url: str, service: FlexService, weeks: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, window = 2, 2.5
    monkeypatch.setattr(history, "FLEX_WINDOW_SECONDS", window)
    fetch_at_once(database_url, [configured(tmp_path, service.url, most)] * LOADS, weeks)
    assert len(service.times()) == LOADS * 2
    assert min(gaps(service.times(), most)) >= window
    assert min(gaps(service.times())) >= GAP


@pytest.mark.slow
def test_no_minute_holds_more_than_ten_requests(
    database_url: str, service: FlexService, weeks: Book, tmp_path: Path
) -> None:
    service.in_progress = 5
    fetch_at_once(database_url, [configured(tmp_path, service.url, 10)] * LOADS, weeks)
    assert len(service.times()) == LOADS * 7
    assert min(gaps(service.times(), 10)) >= 60
    assert min(gaps(service.times())) >= GAP


@pytest.mark.parametrize("trouble", SURVIVED.values(), ids=SURVIVED.keys())
@pytest.mark.parametrize("step", ["on_order", "on_poll"])
def test_one_bad_answer_is_survived(service: FlexService, weeks: Book, step: str, trouble: Trouble) -> None:
    whole = fetched(service, weeks)
    queue: deque[Trouble] = getattr(service, step)
    queue.append(trouble)
    assert fetched(service, weeks) == whole > 0
    assert not queue


@pytest.mark.parametrize("trouble", FATAL.values(), ids=FATAL.keys())
@pytest.mark.parametrize("step", ["on_order", "on_poll"])
def test_bad_answers_without_end_are_told_in_one_line_and_soon(
    service: FlexService, weeks: Book, step: str, trouble: Trouble
) -> None:
    queue: deque[Trouble] = getattr(service, step)
    queue.extend([trouble] * 100)
    with pytest.raises(BrokerError) as caught:
        _ = fetched(service, weeks)
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert len(service.requests) < 20


def test_a_load_through_many_bad_answers_is_whole(
    db: Database, service: FlexService, weeks: Book, tmp_path: Path
) -> None:
    service.on_order.extend([UNAVAILABLE, WEB_PAGE, DROPPED])
    service.on_poll.extend([CUT, HALF_A_DOCUMENT, Trouble(code=1019), DROPPED])
    loader = HistoryLoaderService(db, configured(tmp_path, service.url, FAST))
    told = loader.load_ib_history(from_date=weeks.first, to_date=weeks.last)
    assert (told.status, told.errors) == (LoadStatus.SUCCESS, ())
    assert not service.on_order
    assert not service.on_poll
    require_none(differences(db.url, weeks))


def test_a_load_that_fails_leaves_nothing_behind_and_the_next_one_is_whole(
    db: Database, service: FlexService, weeks: Book, tmp_path: Path
) -> None:
    service.on_poll.extend([CUT] * 100)
    loader = HistoryLoaderService(db, configured(tmp_path, service.url, FAST))
    told = loader.load_ib_history(from_date=weeks.first, to_date=weeks.last)
    assert told.status is LoadStatus.FAILED
    assert len(told.errors) == 1
    tables = ("trades_raw_ib", "raw_documents", "sync_state", "trades_norm")
    assert [rows(db.url, f"SELECT count(*) FROM {name}")[0]["count"] for name in tables] == [0] * len(tables)
    service.on_poll.clear()
    told = loader.load_ib_history(from_date=weeks.first, to_date=weeks.last)
    assert (told.status, told.errors) == (LoadStatus.SUCCESS, ())
    require_none(differences(db.url, weeks))


@pytest.mark.parametrize("trouble", [SLOW, SILENT, Trouble(code=1019)], ids=["slow", "silent", "in_progress"])
@pytest.mark.parametrize("step", ["on_order", "on_poll"])
def test_a_service_that_never_finishes_is_left_at_the_deadline(
    service: FlexService, weeks: Book, step: str, trouble: Trouble
) -> None:
    deadline = 0.6
    queue: deque[Trouble] = getattr(service, step)
    queue.extend([trouble] * 1000)
    begun = time.monotonic()
    with pytest.raises(BrokerUnavailable) as caught:
        _ = fetched(service, weeks, 0.05, deadline)
    assert time.monotonic() - begun < deadline + 1
    assert TOKEN not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_window_that_a_service_shrinks_stays_open(db: Database, weeks: Book, tmp_path: Path) -> None:
    newest = weeks.part(weeks.last, weeks.last)
    with FlexService(weeks, lambda _: text_of(document(newest))) as service:
        loader = HistoryLoaderService(db, configured(tmp_path, service.url, FAST))
        told = loader.load_ib_history(from_date=weeks.first, to_date=weeks.last)
        assert told.status is LoadStatus.PARTIAL
        assert told.counts["uncovered_days"] > len(weeks.days()) * 0.6
        service.render = lambda part: text_of(document(part))
        told = loader.load_ib_history(from_date=weeks.first, to_date=weeks.last)
        assert told.status is LoadStatus.SUCCESS
    require_none(differences(db.url, weeks))


def test_yesterday_is_the_newest_day_that_is_asked_for(
    db: Database, service: FlexService, weeks: Book, tmp_path: Path
) -> None:
    loader = HistoryLoaderService(db, configured(tmp_path, service.url, FAST))
    _ = loader.load_ib_history(from_date=weeks.first, to_date=weeks.last + timedelta(days=30))
    asked = [one.told["td"] for one in service.requests if one.service == "SendRequest"]
    assert asked == [f"{weeks.last:%Y%m%d}"]
