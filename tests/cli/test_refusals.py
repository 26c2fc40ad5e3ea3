"""What is wrong before any connection ends with exit code 2 and one line that says what to mend."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from apex_pipeline.settings import PROJECT_DIR
from tests.cli.conftest import flex_environment
from tests.cli.flex import Flex
from tests.cli.program import Apex, Ended


@pytest.fixture
def apex(tmp_path: Path) -> Apex:
    """The command with a database that nobody may touch: a closed port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"postgresql://nobody@127.0.0.1:{port}/nothing"
    return Apex(tmp_path, {"PATH": "/usr/bin:/bin", "APEX_HOME": str(tmp_path / "state"), "APEX_DATABASE_URL": url})


def require_refusal(ended: Ended, pattern: str) -> None:
    """Exit 2 and one line that matches, nothing else."""
    assert ended.code == 2, ended.text
    assert re.search(pattern, ended.err), ended.text
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert len(ended.err.strip().splitlines()) == 1, ended.text


def test_a_missing_token_is_told_before_any_connection(apex: Apex, flex: Flex) -> None:
    for name in ("IB_FLEX_TOKEN", "IB_FLEX_QUERY_ID"):
        ended = apex("backfill", "--days", "3", **{**flex_environment(flex), name: None})
        require_refusal(ended, f"^apex: .*{name}")
        assert ended.seconds < 5
    assert flex.asked == []
    assert not apex.home.exists()


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (["--from-date", "2026-02-30"], r"--from-date.*2026-02-30"),
        (["--to-date", "yesterday"], r"--to-date.*yesterday"),
        (["--from-date", "20260131x"], r"--from-date"),
        (["--from-date", "2026-03-02", "--to-date", "2026-03-01"], r"2026-03-02 is after .*2026-03-01"),
        (["--to-date", "2199-01-01"], r"future"),
        (["--from-date", "1999-01-01", "--to-date", "1999-02-01"], r"APEX_HISTORY_START"),
        (["--days", "3", "--from-date", "2026-03-02"], r"--days and --from-date"),
        (["--market", "MARS"], r"MARS.*HK"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused(apex: Apex, arguments: list[str], pattern: str) -> None:
    require_refusal(apex("backfill", "--broker", "futu", *arguments), pattern)


@pytest.mark.parametrize(
    ("environment", "pattern"),
    [
        ({"FUTU_PORT": "70000"}, "FUTU_PORT"),
        ({"FUTU_RSA_KEY_FILE": "/nowhere/key.pem"}, "FUTU_RSA_KEY_FILE"),
        ({"FUTU_ACC_IDS": "12,x"}, "FUTU_ACC_IDS"),
        ({"FUTU_SECURITY_FIRMS": "FUTUMARS"}, "FUTU_SECURITY_FIRMS"),
        ({"APEX_BROKERS": "futu,schwab"}, "APEX_BROKERS"),
        ({"APEX_HISTORY_START": "long ago"}, "APEX_HISTORY_START"),
        ({"APEX_DISPLAY_TIMEZONE": "Mars/Olympus"}, "APEX_DISPLAY_TIMEZONE"),
        ({"APEX_BROKERS": "ib", "IB_FLEX_URL": "http://example.com/x"}, "IB_FLEX_URL.*https"),
        ({"APEX_BROKERS": "ib", "IB_FLEX_TOKEN": "  "}, "IB_FLEX_TOKEN"),
        ({"APEX_DATABASE_URL": "mysql://x/y"}, "APEX_DATABASE_URL"),
        ({"APEX_DATABASE_URL": "postgresql://x"}, "APEX_DATABASE_URL"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named(apex: Apex, environment: dict[str, str], pattern: str) -> None:
    known: dict[str, str] = {"APEX_BROKERS": "futu", "IB_FLEX_TOKEN": "t", "IB_FLEX_QUERY_ID": "1"}
    require_refusal(apex("backfill", "--days", "2", **{**known, **environment}), pattern)


@pytest.mark.parametrize("arguments", [["fly"], ["backfill", "--dayz", "3"], ["backfill", "--broker", "schwab"],
                                       ["backfill", "--days", "0"], ["simulate", "etrade"],
                                       ["report", "--format", "pdf"], ["backfill", "--config", "no.yaml"]])  # fmt: skip
def test_a_word_that_apex_does_not_know_is_a_usage_error(apex: Apex, arguments: list[str]) -> None:
    ended = apex(*arguments)
    assert ended.code == 2, ended.text
    assert "Error: " in ended.err
    assert "Traceback" not in ended.err


def test_what_checks_a_wish_does_not_wait_for_dagster() -> None:
    code = "import sys, apex_pipeline.cli.loading; print({'dagster', 'typing'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT_DIR)
    assert told.stdout == "{'typing'}\n"


def test_an_unknown_key_of_the_file_is_told_with_the_nearest_known_one(apex: Apex) -> None:
    (apex.folder / "apex.yaml").write_text("futu:\n  hots: 127.0.0.1\n")
    require_refusal(apex("backfill", "--days", "2"), r"'futu\.hots'.*'futu\.host'")


def test_a_file_that_is_not_yaml_is_told(apex: Apex) -> None:
    (apex.folder / "apex.yaml").write_text("futu: [\n")
    require_refusal(apex("status"), r"apex\.yaml is not valid YAML")


def test_a_variable_of_the_file_that_is_not_set_is_named(apex: Apex) -> None:
    (apex.folder / "apex.yaml").write_text("ib:\n  flex_token: ${MY_OWN_TOKEN}\n")
    require_refusal(apex("backfill", "--days", "2"), "MY_OWN_TOKEN")


def test_a_database_that_does_not_answer_is_one_line_and_exit_code_1(apex: Apex) -> None:
    for arguments in (["status"], ["backfill", "--broker", "futu", "--days", "2"], ["report"], ["migrate"]):
        ended = apex(*arguments)
        assert ended.code == 1, ended.text
        assert len(ended.err.strip().splitlines()) == 1, ended.text
        assert ended.err.startswith("apex: ")
        assert "127.0.0.1" in ended.err
        assert "Traceback" not in ended.err
