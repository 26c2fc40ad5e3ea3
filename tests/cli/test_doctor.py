"""`apex doctor` before anything is loaded: a new database is well, an outdated one is not."""

from apex_pipeline.settings import PROJECT_DIR
from tests.cli.program import Apex

HERE = str(PROJECT_DIR)
WITHOUT_BROKERS = {"APEX_BROKERS": "futu", "FUTU_PORT": "1", "PYTHONPATH": HERE}
"""Futu answers nowhere: only the line about the database matters."""


def told_of_the_database(apex: Apex, url: str) -> str:
    ended = apex("doctor", **WITHOUT_BROKERS, APEX_DATABASE_URL=url)
    return next(line for line in ended.out.splitlines() if " database: " in line)


def test_a_database_without_tables_is_well_because_the_first_load_makes_them(apex: Apex, empty_url: str) -> None:
    assert told_of_the_database(apex, empty_url) == "ok   database: reachable, and empty: the first load prepares it"


def test_an_outdated_one_asks_for_its_migrations(apex: Apex, empty_url: str) -> None:
    assert apex("migrate", "--to", "1", APEX_DATABASE_URL=empty_url, PYTHONPATH=HERE).code == 0
    told = told_of_the_database(apex, empty_url)
    assert told.startswith("FAIL database: migration 002")
    assert told.endswith("run `apex migrate`")


def test_a_current_one_tells_its_migration(apex: Apex, database_url: str) -> None:
    assert told_of_the_database(apex, database_url).startswith("ok   database: reachable, migration ")
