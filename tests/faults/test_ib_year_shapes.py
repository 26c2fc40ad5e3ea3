"""The made-up year in every shape, with and without lots: a number is right, or its being wrong is told."""

from pathlib import Path

import pytest

from apex_pipeline.store.db import Database
from tests.cli.sql import rows
from tests.faults import ib_year_truth as truth
from tests.faults.ib_year_days import DAY, FIRST, LAST
from tests.faults.ib_year_loading import load, monthly, told_year, whole, year
from tests.faults.ib_year_rows import Shape

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(12))
def test_every_number_is_right_or_told_to_be_wrong(seed: int, db: Database, database_url: str, tmp_path: Path) -> None:
    made = year(seed)
    load(db, tmp_path / "files", made.texts())
    assert truth.silent(database_url, made.books) == []
    assert truth.cash(database_url, made.books) == []
    if made.shape.lots and made.shape.closed_lots:
        assert truth.honest(database_url, made.books) == []


def test_lots_that_are_left_at_the_end_closed_nothing_before(db: Database, database_url: str, tmp_path: Path) -> None:
    made = told_year(0, whole(), Shape(closed_lots=False))
    load(db, tmp_path / "files", made.texts())
    assert [one for one in truth.honest(database_url, made.books) if "PRLA" in one or "PRSH" in one] == []


def test_a_flip_of_untold_lots_is_no_opening(db: Database, database_url: str, tmp_path: Path) -> None:
    made = told_year(0, whole(), Shape(closed_lots=False))
    load(db, tmp_path / "files", made.texts())
    assert [one for one in truth.honest(database_url, made.books) if "ALFA" in one or "BRVO" in one] == []


def test_a_lot_that_is_closed_after_a_split_has_all_its_cost(db: Database, database_url: str, tmp_path: Path) -> None:
    made = told_year(2, monthly(), Shape(lots=False))
    load(db, tmp_path / "files", made.texts())
    assert [one for one in truth.honest(database_url, made.books) if "SPL" in one] == []


def test_what_closed_lots_tell_was_closed_before_what_nobody_tells(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    made = told_year(5, monthly(), Shape(lots=False))
    load(db, tmp_path / "files", made.texts())
    assert truth.honest(database_url, made.books) == []
    assert truth.positions(database_url, made.books) == []


def test_settlements_without_an_id_count_once(db: Database, database_url: str, tmp_path: Path) -> None:
    middle = FIRST + 180 * DAY
    made = told_year(2, (((FIRST, middle),), ((middle - 60 * DAY, LAST),)), Shape(numbered_settlements=False))
    load(db, tmp_path / "files", made.texts())
    assert truth.cash(database_url, made.books) == []


def test_lots_told_after_a_change_of_contract_name_those_before(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    made = told_year(0, whole())
    load(db, tmp_path / "files", made.texts())
    assert [one for one in truth.all_of_it(database_url, made.books) if "OLDT" in one or "NEWT" in one] == []


def test_stock_that_is_transferred_out_opens_no_short_lot(db: Database, database_url: str, tmp_path: Path) -> None:
    made = told_year(0, whole())
    load(db, tmp_path / "files", made.texts())
    query = "SELECT qty FROM lots WHERE symbol = 'US.TROU' AND qty < 0"
    assert rows(database_url, query) == []
