"""Loading a made-up book into a database the way people do: over HTTP, from files, whole, in parts, cut off."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from apex_pipeline import settings
from apex_pipeline.live import Database, HistoryLoaderService, LoadStatus
from apex_pipeline.live.files import StatementImporter
from apex_pipeline.settings import IbSettings, Settings
from tests.faults.flex_book import Book, is_business_day
from tests.faults.flex_book_shapes import Shape
from tests.faults.flex_book_statements import document, text_of
from tests.faults.flex_service import QUERY, TOKEN, FlexService

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens there; files need nobody."""


def configured(url: str, home: Path) -> Settings:
    """Settings for a service at that address, whatever the machine's environment says."""
    return replace(
        settings.load(environ={}, config_file=home / "no.yaml"),
        home=home, brokers=("ib",), ib=IbSettings(url, TOKEN, QUERY, 100_000, 0.001),
    )  # fmt: skip


def load(db: Database, home: Path, service: FlexService, whole: Book, *, force: bool = False) -> None:
    """Load all days of the book over HTTP."""
    loader = HistoryLoaderService(db, configured(service.url, home))
    told = loader.load_ib_history(from_date=whole.first, to_date=whole.last, force=force)
    assert (told.errors, told.status) == ((), LoadStatus.SUCCESS)


def load_in_process(url: str, home: Path, service_url: str, whole: Book) -> None:
    """The same in a process of its own, which may be killed."""
    with Database(url) as db:
        loader = HistoryLoaderService(db, configured(service_url, home))
        _ = loader.load_ib_history(from_date=whole.first, to_date=whole.last)


def import_files(db: Database, home: Path, contents: Sequence[str], shuffle: int | None = None) -> None:
    """Write these documents to files and load them, in any order if `shuffle` is a seed."""
    home.mkdir(exist_ok=True)
    paths = [home / f"{number:04}.xml" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        _ = path.write_text(content, encoding="utf-8")
    if shuffle is not None:
        random.Random(shuffle).shuffle(paths)
    importer = StatementImporter(db, configured(NOWHERE, home))
    for path in paths if shuffle is not None else [home]:
        told = importer.load_paths([path])
        assert [(file.error, file.quarantined) for file in told.files] == [(None, 0)] * len(told.files)


def shaped(shape: Shape, whole: Book) -> Callable[[Book], str]:
    """Renders parts of a book in a shape."""

    def render(part: Book) -> str:
        root = document(part)
        shape(root, whole)
        return text_of(root)

    return render


def months_of(whole: Book) -> list[tuple[date, date]]:
    """Windows of about a month that overlap by a week."""
    starts = [whole.first + timedelta(days=number) for number in range(0, len(whole.days()), 30)]
    return [(first, min(first + timedelta(days=36), whole.last)) for first in starts]


def business_days(whole: Book) -> list[date]:
    return [day for day in whole.days() if is_business_day(day)]


def early(whole: Book) -> Book:
    """The book as a statement told it that was written too early: late entries are missing, commissions were lower."""
    kept = [one for one in whole.entries if not one.late]
    told = [replace(one, commission=one.commission / 2) if one.commission else one for one in kept]
    return replace(whole, entries=told, bookings=whole.bookings[::2])


def interrupted(render: Callable[[Book], str], after: int) -> Callable[[Book], str]:
    """The rendering until it has been done so often; then never a whole document again."""
    done: list[Book] = []

    def broken(part: Book) -> str:
        done.append(part)
        whole = render(part)
        return whole if len(done) <= after else whole[: len(whole) // 2]

    return broken
