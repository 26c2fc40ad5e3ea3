"""Years that were made up by other means than our scenarios: what agrees opens no break, and the rest is named here.

Their books were kept beside the program. What is left open in them is what the made-up broker does not tell or tells
otherwise than it was: each break stands here with its reason, and there is no other.
"""

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from apex_pipeline.store.db import Database
from tests.faults.futu_endings import Life
from tests.faults.futu_endings_loading import Reader
from tests.faults.futu_endings_stories import clear, one_day_after_the_other
from tests.faults.ib_year_loading import load, told_year, weekly, whole, with_day_before
from tests.store.rows import query

NOT_CLOSED = (
    "SELECT check_name, subject, coalesce(evidence ->> 'symbol', ''), state, evidence::text FROM recon_breaks "
    "WHERE state <> 'CLOSED' ORDER BY 1, 2"
)

Reasons = Mapping[tuple[str, str], str]
"""Why there are breaks, by check and the pattern of their symbol."""

UNRULED: Reasons = {
    ("every_movement_has_a_rule", "US.SPNC"): "a spin-off of a type that no rule covers: it must not be guessed",
}


def unexplained(url: str, reasons: Reasons) -> list[str]:
    """Breaks that no reason names, and reasons that name no break."""
    found = query(url, NOT_CLOSED)
    of = {
        (check, pattern): [
            row for row in found if row[0] == check and any(fnmatchcase(about, pattern) for about in row[1:3])
        ]
        for check, pattern in reasons
    }
    named = [row for rows in of.values() for row in rows]
    return [
        *(" ".join(row) for row in found if row not in named),
        *(f"no {key}" for key, rows in of.items() if not rows),
    ]


IB_YEARS = {
    "the day before, and a year": (3, with_day_before()),
    "a year in one file": (1, whole()),
    "weeks that overlap": (5, weekly(5)),
}


@pytest.mark.parametrize(
    "name", ["a year in one file", *(pytest.param(one, marks=pytest.mark.slow) for one in list(IB_YEARS)[::2])]
)
def test_a_made_up_year_of_interactive_brokers_opens_only_what_is_named(
    name: str, db: Database, database_url: str, tmp_path: Path
) -> None:
    seed, windows = IB_YEARS[name]
    load(db, tmp_path / "files", told_year(seed, windows).texts())
    assert unexplained(database_url, UNRULED) == []


@pytest.mark.slow
@pytest.mark.parametrize("story", [clear, one_day_after_the_other])
def test_a_made_up_spring_of_futu_opens_nothing(story: Callable[[], Life], db: Database, tmp_path: Path) -> None:
    Reader(db, tmp_path, story()).whole()
    assert unexplained(db.url, {}) == []
