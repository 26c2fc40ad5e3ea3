"""Loading the made-up year the way people do: one file, months, weeks that overlap, in any order, some twice."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

from apex_pipeline import settings
from apex_pipeline.live import Database
from apex_pipeline.live.files import StatementImporter
from apex_pipeline.settings import IbSettings
from tests.faults.ib_year_books import Books
from tests.faults.ib_year_days import DAY, FIRST, FORMATS, LAST
from tests.faults.ib_year_rows import Shape
from tests.faults.ib_year_stories import lived
from tests.faults.ib_year_wire import Change, document

Window = tuple[date, date]


@dataclass(frozen=True)
class Year:
    """A life, and how its statements are cut and written."""

    books: Books
    shape: Shape
    files: tuple[tuple[Window, ...], ...]

    def texts(self, change: Change | None = None) -> list[str]:
        """The documents of the files, each row list changed by `change`."""
        return [document(self.books, self.shape, windows, change) for windows in self.files]


def whole() -> tuple[tuple[Window, ...], ...]:
    return (((FIRST, LAST),),)


def with_day_before() -> tuple[tuple[Window, ...], ...]:
    """The year, and the day before it on its own."""
    return ((((FIRST - DAY), FIRST - DAY),), ((FIRST, LAST),))


def monthly() -> tuple[tuple[Window, ...], ...]:
    starts = [date(2024 + (6 + n) // 12, (6 + n) % 12 + 1, 1) for n in range(13)]
    return tuple(((first, after - DAY),) for first, after in pairwise(starts))


def weekly(seed: int) -> tuple[tuple[Window, ...], ...]:
    """Weeks that overlap by a week, in random order, some twice."""
    firsts = [FIRST + timedelta(7 * n) for n in range((LAST - FIRST).days // 7 + 1)]
    spans = [((first, min(first + timedelta(13), LAST)),) for first in firsts]
    dice = random.Random(seed)
    spans += dice.sample(spans, 6)
    dice.shuffle(spans)
    return tuple(spans)


CUTS: Sequence[Callable[[int], tuple[tuple[Window, ...], ...]]] = (
    lambda _: whole(), lambda _: monthly(), weekly, lambda _: with_day_before(),
)  # fmt: skip


def year(seed: int) -> Year:
    """A life and a shape, both chosen by the seed."""
    dice = random.Random(seed * 31)
    life = lived(seed, linked=dice.random() < 0.6, old_cancels=dice.random() < 0.4, doubtful=dice.random() < 0.4)
    shape = Shape(
        dates=dice.choice(FORMATS), lots=dice.random() < 0.8, closed_lots=dice.random() < 0.8,
        effects=dice.random() < 0.8, events=dice.random() < 0.6, unsigned_lots=dice.random() < 0.3,
    )  # fmt: skip
    return Year(Books(life), shape, CUTS[seed % len(CUTS)](seed))


def told_year(seed: int, files: tuple[tuple[Window, ...], ...], shape: Shape | None = None) -> Year:
    """A life of which every row is certain, cut as given."""
    return Year(Books(lived(seed)), shape or Shape(), files)


def load(db: Database, home: Path, texts: Sequence[str]) -> None:
    """Import these files, in their order, and do everything downstream."""
    home.mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        _ = (home / f"{number:03}.xml").write_text(text, encoding="utf-8")
    configured = settings.load(environ={}, config_file=home / "no.yaml")
    configured = replace(
        configured, home=home, brokers=("ib",), ib=IbSettings("http://127.0.0.1:9", "t", "1", 1000, 0.001)
    )
    told = StatementImporter(db, configured).load_paths([home])
    assert [(file.file, file.error, file.quarantined) for file in told.files if file.error or file.quarantined] == []
