"""The units of one host are accepted by systemd, start what is there, and may touch little."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from apex_pipeline.configuration.names import FILE_KEYS
from apex_pipeline.settings import PROJECT_DIR
from tests.orchestration.conftest import Place
from tests.orchestration.test_killed_runs import served_run, status_of

UNITS = PROJECT_DIR / "deploy" / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
INSTALLED = "/opt/apex/.venv/bin"
MOST_EXPOSED = 1.5
"""How exposed systemd may find a unit, from 0 (to nothing) to 10."""
OF_DAGSTER = {"DAGSTER_HOME", "DAGSTER_EVENT_BATCH_SIZE", "DAGSTER_DISABLE_TELEMETRY"}
OF_HOME = {"APEX_DAGSTER_SQLALCHEMY_URL", "APEX_CODE_SERVER_PORT"}


@pytest.fixture(scope="module")
def systemd_analyze() -> str:
    """Debian's program, which needs no systemd running."""
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is missing: apt-get install systemd")
    return found


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with the programs of this checkout instead of those of /opt/apex, and instances of templates."""
    here = str(Path(sys.executable).parent)
    for path in UNITS.iterdir():
        name = path.name.replace("@.", "@futu.")
        (tmp_path / name).write_text(path.read_text().replace(INSTALLED, here))
    return tmp_path


def verified(program: str, units: Path, name: str) -> str:
    """What systemd has against a unit; nothing is nothing."""
    ended = subprocess.run(
        [program, "verify", "--man=no", "--recursive-errors=no", str(units / name)],
        env={"SYSTEMD_UNIT_PATH": f"{units}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    own = [line for line in ended.stderr.splitlines() if "apex" in line]
    return "\n".join(own) or ("" if ended.returncode == 0 else ended.stderr)


@pytest.mark.parametrize("name", [*SERVICES, "apex.target"])
def test_systemd_has_nothing_against_a_unit(systemd_analyze: str, units: Path, name: str) -> None:
    assert verified(systemd_analyze, units, name.replace("@.", "@futu.")) == ""


def test_systemd_would_notice_a_misspelt_line_and_a_program_that_is_not_there(
    systemd_analyze: str, units: Path
) -> None:
    """The control of the test above."""
    unit = units / "apex-daemon.service"
    good = unit.read_text()
    unit.write_text(good.replace("ProtectHome=yes", "ProtectHomes=yes"))
    assert "ProtectHomes" in verified(systemd_analyze, units, unit.name)
    unit.write_text(good.replace("dagster-daemon run", "dagster-demon run"))
    assert "dagster-demon" in verified(systemd_analyze, units, unit.name)


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_exposed_to_little(systemd_analyze: str, units: Path, name: str) -> None:
    unit = units / name.replace("@.", "@futu.")
    ended = subprocess.run(
        [systemd_analyze, "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", ended.stdout)
    assert found, ended.stderr
    assert float(found.group(1)) <= MOST_EXPOSED


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_runs_as_nobody_in_particular_and_holds_no_secret(name: str) -> None:
    text = (UNITS / name).read_text()
    assert "User=apex" in text
    assert "Environment=" not in text, "settings are in a file that others cannot read"


def test_every_setting_of_the_example_is_one_that_is_read() -> None:
    lines = (UNITS / "apex.env.example").read_text().splitlines()
    told = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    assert told - OF_DAGSTER - OF_HOME <= set(FILE_KEYS.values())
    read = (PROJECT_DIR / "dagster.yaml").read_text() + (PROJECT_DIR / "workspace.yaml").read_text()
    assert set(re.findall(r"env: (\w+)", read)) <= told


def test_the_worker_of_the_unit_is_the_one_that_the_tests_run() -> None:
    text = (UNITS / "apex-worker@.service").read_text()
    assert "-A apex_pipeline.worker worker -Q %i" in text


def enabled(folder: Path, unit: str) -> set[str]:
    """What starts a unit once it is enabled on a machine with these units."""
    installed = folder / "etc" / "systemd" / "system"
    installed.mkdir(parents=True)
    for path in UNITS.iterdir():
        shutil.copy(path, installed)
    subprocess.run(["systemctl", f"--root={folder}", "enable", unit], check=True, capture_output=True)
    return {link.parent.name for link in installed.glob("*.wants/*") if link.name == unit}


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemctl is missing: apt-get install systemd")
def test_a_machine_that_is_only_a_worker_starts_it_after_a_reboot(tmp_path: Path) -> None:
    assert "multi-user.target.wants" in enabled(tmp_path / "worker", "apex-worker@futu.service")
    assert enabled(tmp_path / "daemon", "apex-daemon.service") == {"apex.target.wants"}, (
        "control: with apex.target only"
    )


def commands(unit: str, name: str) -> list[list[str]]:
    """What a line of this name in a unit starts, with the programs of this checkout."""
    here = str(Path(sys.executable).parent)
    lines = (UNITS / unit).read_text().replace(INSTALLED, here).splitlines()
    return [line.partition("=")[2].split() for line in lines if line.startswith(f"{name}=")]


def before_the_code_server_starts() -> None:
    """What its unit does before it listens."""
    for command in commands("apex-code-server.service", "ExecStartPre"):
        subprocess.run(command, check=True)


@pytest.mark.timeout(120)
def test_a_code_server_that_starts_again_on_its_port_ends_the_runs_that_died_with_the_one_before(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as earlier:
        port = earlier.getsockname()[1]
        run_id = served_run(place, port)
        before_the_code_server_starts()
        assert status_of(place, run_id) is dg.DagsterRunStatus.NOT_STARTED, "control: its code server listens"
    before_the_code_server_starts()
    with socket.create_server(("127.0.0.1", port)):
        assert status_of(place, run_id) is dg.DagsterRunStatus.FAILURE
        assert place.instance.event_log_storage.get_concurrency_run_ids() == set(), "the pool is given back"


@pytest.mark.parametrize(
    ("executor", "laid_out"), [("in_process", "dagster.yaml"), ("celery", "deploy/celery/dagster.yaml")]
)
def test_the_home_that_the_units_lay_out_is_the_one_of_the_executor(
    tmp_path: Path, executor: str, laid_out: str
) -> None:
    home = tmp_path / "state" / "dagster"
    told = {"APEX_EXECUTOR": executor, "APEX_CELERY_BROKER_URL": "redis://127.0.0.1:1/0", "DAGSTER_HOME": str(home)}
    for command in commands("apex-prepare.service", "ExecStart"):
        if command[1] != "migrate" and command[-1] != "migrate":
            subprocess.run(command, check=True, cwd=tmp_path, env={**os.environ, **told}, umask=0o077)
    assert {path.name for path in home.iterdir()} == {"dagster.yaml", "workspace.yaml"}
    assert (home / "dagster.yaml").read_bytes() == (PROJECT_DIR / laid_out).read_bytes()
    assert (home / "workspace.yaml").read_bytes() == (PROJECT_DIR / "workspace.yaml").read_bytes()
    assert {path.stat().st_mode & 0o077 for path in (home, *home.iterdir())} == {0}
