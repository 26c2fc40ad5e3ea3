"""Settings come from the environment, then `apex.yaml`, then defaults, and a wrong one is named."""

from datetime import date
from pathlib import Path

import pytest

from apex_pipeline.errors import ConfigError
from apex_pipeline.settings import environment_of, load, sibling_database, sqlalchemy_url


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "apex.yaml"
    path.write_text(
        "brokers: [ib]\n"
        "history_start: 2019-07-01\n"
        "futu: {port: 22222, acc_ids: [281756455981243107, 3]}\n"
        "ib: {flex_token: '${VAULT_TOKEN}', poll_seconds: 2.5}\n"
    )
    return path


def test_the_environment_wins_over_the_file_and_the_file_over_the_defaults(file: Path) -> None:
    told = load({"FUTU_PORT": "33333", "VAULT_TOKEN": "hush"}, file)
    assert (told.futu.port, told.ib.token, told.ib.poll_seconds) == (33333, "hush", 2.5)
    assert (told.brokers, told.history_start) == (("ib",), date(2019, 7, 1))
    assert told.futu.acc_ids == ("281756455981243107", "3")
    assert told.futu.requests_per_window == 10
    assert load({"VAULT_TOKEN": "hush"}, file).futu.port == 22222


def test_an_empty_variable_is_an_unset_one(file: Path) -> None:
    assert load({"FUTU_PORT": "", "VAULT_TOKEN": "hush"}, file).futu.port == 22222


def test_another_process_sees_the_same_settings(file: Path, tmp_path: Path) -> None:
    told = load({"VAULT_TOKEN": "hush", "APEX_DATABASE_URL": "postgresql://u:p@h/d"}, file)
    assert load(environment_of(told), tmp_path / "none.yaml") == told


def test_the_token_is_in_no_repr(file: Path) -> None:
    assert "hush" not in repr(load({"VAULT_TOKEN": "hush"}, file))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APEX_BROKERS", "futu,robinhood"),
        ("APEX_HISTORY_START", "last year"),
        ("FUTU_PORT", "70000"),
        ("FUTU_BATCH_FEE_SIZE", "401"),
        ("FUTU_WINDOW_SECONDS", "0"),
        ("IB_FLEX_REQUESTS_PER_MINUTE", "1.5"),
        ("APEX_DISPLAY_TIMEZONE", "Mars/Olympus"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_its_name(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is '{value}'"):
        load({name: value}, tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("futu: {prot: 1}", "unknown key 'futu.prot'; the nearest known one is 'futu.port'"),
        ("futu: {host: '${NOBODY_SET_THIS}'}", r"\$\{NOBODY_SET_THIS\}, which is not set"),
        ("futu: [", "not valid YAML in line 1"),
        ("- futu", "must hold keys and values"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "apex.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load({}, path)


def test_the_databases_of_dagster_and_business_are_siblings() -> None:
    url = "postgresql://u@/apex?host=%2Ftmp%2Fs"
    assert sibling_database(url) == "postgresql://u@/apex_dagster?host=%2Ftmp%2Fs"
    assert sqlalchemy_url(url) == "postgresql+psycopg2://u@/apex?host=%2Ftmp%2Fs"
