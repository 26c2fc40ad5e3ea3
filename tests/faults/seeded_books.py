"""A clean year of another account: the made-up books, in which companies split, shares are transferred and dividends
are taken back. Told month by month in one file, after the day before."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from apex_pipeline import settings
from apex_pipeline.live.files import StatementImporter
from apex_pipeline.settings import IbSettings
from apex_pipeline.store.db import Database
from tests.faults.ib_year_books import Books
from tests.faults.ib_year_days import DAY, FIRST
from tests.faults.ib_year_life import Life
from tests.faults.ib_year_loading import monthly
from tests.faults.ib_year_rows import Shape
from tests.faults.ib_year_stories import STORIES, spin_off
from tests.faults.ib_year_wire import document
from tests.faults.seeded_flex import Statements

_SEED = 40


def told_books(number: int) -> Statements:
    """The answer that tells the year of a number whole."""
    return Statements(_written(number).encode())


@cache
def _written(number: int) -> str:
    """A spin-off stops the ledger for good, and no return was made up: both are left out."""
    life = Life(_SEED + number)
    for story in STORIES:
        if story is not spin_off:
            story(life)
    windows = [(FIRST - DAY, FIRST - DAY), *(window for (window,) in monthly())]
    return document(Books(life.finish()), Shape(), windows).replace(' twr="0"', ' twr=""')


def load_books(db: Database, home: Path, told: Statements) -> list[str]:
    """Import the answer as a file and do everything that follows; returns what was refused."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / f"{db.url.rpartition('/')[2].partition('?')[0]}.xml"
    path.write_bytes(told.content())
    config = settings.load(environ={}, config_file=home / "no.yaml")
    nobody = IbSettings("http://127.0.0.1:9", "t", "1", 1000, 0.001)
    config = replace(config, home=home, brokers=("ib",), ib=nobody)
    result = StatementImporter(db, config).load_paths([path])
    path.unlink()
    return [file.error for file in result.files if file.error]
