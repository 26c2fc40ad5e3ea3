"""`apex move` copies what there is, says what to set, and never shows a password."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from psycopg2 import sql

from apex_pipeline import settings
from apex_pipeline.cli.move import move
from apex_pipeline.errors import ConfigError
from apex_pipeline.settings import sibling_database
from tests.store.rows import asked, query, value

SECRET = "odd-secret"


@pytest.fixture
def here(empty_url: str) -> Iterator[str]:
    """A small database with Dagster's beside it."""
    beside = sibling_database(empty_url)
    query(empty_url, "CREATE TABLE orders AS SELECT generate_series(1, 10) AS n")
    query(empty_url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_name(beside))))
    query(beside, "CREATE TABLE runs AS SELECT generate_series(1, 4) AS n")
    yield empty_url
    _drop(empty_url, beside)


@pytest.fixture
def there(server_url: str) -> Iterator[str]:
    """Where nothing is yet."""
    target = sibling_database(server_url, f"apex_test_{uuid4().hex[:12]}")
    yield target
    for each in (target, sibling_database(target)):
        _drop(server_url, each)


def _name(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


def _drop(server: str, url: str) -> None:
    query(server, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(_name(url))))


def moved(folder: Path, url: str, **environ: str) -> None:
    move(settings.load({"APEX_HOME": str(folder), **environ}, folder / "no.yaml"), url)


def test_both_databases_are_moved_and_the_line_to_set_is_told(
    here: str, there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved(tmp_path, there, APEX_DATABASE_URL=here)
    assert value(there, "SELECT sum(n) FROM orders") == 55
    assert value(sibling_database(there), "SELECT sum(n) FROM runs") == 10
    told = capsys.readouterr().out.splitlines()
    assert told == [
        f"{_name(here)}: 1 tables, 10 rows copied, equal on both sides",
        f"{_name(here)}_dagster: 1 tables, 4 rows copied, equal on both sides",
        f"APEX_DATABASE_URL={there}",
    ]
    moved(tmp_path, there, APEX_DATABASE_URL=here)
    assert "4 rows were there already, equal" in capsys.readouterr().out


def test_a_password_is_not_shown(here: str, there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    user, _, rest = there.removeprefix("postgresql://").partition("@")
    moved(tmp_path, f"postgresql://{user}:{SECRET}@{rest}", APEX_DATABASE_URL=here)
    told = capsys.readouterr()
    assert f"APEX_DATABASE_URL=postgresql://{user}:PASSWORD@{rest}" in told.out
    assert "(with the password in the place of PASSWORD)" in told.err
    assert SECRET not in told.out + told.err


def test_a_password_among_the_parameters_is_not_shown_either(
    here: str, there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved(tmp_path, asked(there, f"password={SECRET}"), APEX_DATABASE_URL=here)
    told = capsys.readouterr()
    assert f"APEX_DATABASE_URL={asked(there, 'password=PASSWORD')}" in told.out
    assert SECRET not in told.out + told.err


def test_a_dagster_storage_in_the_same_database_stays_in_it(
    here: str, there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved(tmp_path, there, APEX_DATABASE_URL=here, APEX_DAGSTER_DATABASE_URL=here)
    assert f"APEX_DATABASE_URL={there}\nAPEX_DAGSTER_DATABASE_URL={there}\n" in capsys.readouterr().out


def test_dagsters_storage_that_was_elsewhere_comes_to_stand_beside(
    here: str, there: str, second: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query(second, "CREATE TABLE runs AS SELECT generate_series(1, 9) AS n")
    moved(tmp_path, there, APEX_DATABASE_URL=here, APEX_DAGSTER_DATABASE_URL=second)
    assert value(sibling_database(there), "SELECT max(n) FROM runs") == 9
    assert "take APEX_DAGSTER_DATABASE_URL away" in capsys.readouterr().err


def test_without_a_dagster_storage_the_data_alone_is_moved(
    second: str, there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query(second, "CREATE TABLE orders AS SELECT 1 AS n")
    moved(tmp_path, there, APEX_DATABASE_URL=second)
    assert value(there, "SELECT count(*) FROM orders") == 1
    assert "dagster" not in capsys.readouterr().out


def test_a_database_that_does_not_exist_is_not_moved_and_nothing_is_made(
    here: str, there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="nothing to move"):
        moved(tmp_path, there, APEX_DATABASE_URL=sibling_database(here, "apex_test_misspelt"))
    assert capsys.readouterr().out == ""
    for name in (_name(there), _name(sibling_database(there))):
        assert value(here, "SELECT count(*) FROM pg_database WHERE datname = %s", name) == 0


def test_a_refused_address_is_not_repeated(here: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not an address of PostgreSQL") as refused:
        moved(tmp_path, f"postgresql+psycopg2://apex:{SECRET}@db:5432/apex", APEX_DATABASE_URL=here)
    assert SECRET not in str(refused.value)


@pytest.fixture
def second(server_url: str) -> Iterator[str]:
    """Another empty database."""
    url = sibling_database(server_url, f"apex_test_{uuid4().hex[:12]}")
    query(server_url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_name(url))))
    yield url
    _drop(server_url, url)


@pytest.mark.parametrize("url", ["apex", "mysql://host/apex", "postgresql://host:5432"])
def test_what_is_no_address_of_a_database_is_refused_before_anything_starts(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        moved(tmp_path, url)
    assert list(tmp_path.iterdir()) == []
