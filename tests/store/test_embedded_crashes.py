"""The embedded server survives a kill at any point with all its rows; what cannot start says why and harms nothing."""

import os
import re
import shutil
import subprocess

import psycopg2
import pytest

from apex_pipeline.errors import ConfigError, StorageError
from apex_pipeline.store import embedded_runtime
from apex_pipeline.store.embedded import EmbeddedServer
from apex_pipeline.store.embedded_user import server_user
from tests.store.embedded_owner import Owner, kill_postmaster, query, wait_until

pytestmark = pytest.mark.timeout(60)


# --- crashes ----------------------------------------------------------------------------------------------------------


def test_a_killed_server_is_restarted_with_its_rows_in_the_same_process(server: EmbeddedServer) -> None:
    with server:
        _ = query(server, "CREATE TABLE kept AS SELECT 7 AS value")
        idle = psycopg2.connect(server.url("postgres"))
        kill_postmaster(server.data_dir)
        wait_until(lambda: not server.is_running())
        with server:
            assert query(server, "SELECT value FROM kept") == [(7,)]
        assert server.is_running()
        idle.close()
    assert not server.is_running()


def test_a_pid_file_whose_number_another_process_has_now_does_not_block_the_start(server: EmbeddedServer) -> None:
    with server:
        pid_file = server.data_dir / "postmaster.pid"
        text = pid_file.read_text()
        user = server_user(server.data_dir)
    other = subprocess.Popen(["sleep", "60"], user=user.uid if user else None)
    try:
        _ = pid_file.write_text(re.sub(r"^\d+", str(other.pid), text))
        # Control: PostgreSQL alone refuses to start on this file.
        runtime = embedded_runtime.runtime_for(user, embedded_runtime.find_install())
        control = runtime.run("pg_ctl", "start", "-D", str(server.data_dir), "-l", "/dev/null", "-w", seconds=30)
        assert control.returncode != 0
        with server:
            assert query(server, "SELECT 1") == [(1,)]
    finally:
        other.kill()
        _ = other.wait()


@pytest.mark.parametrize("content", ["", "\n", "not a number\n"])
def test_a_damaged_pid_file_does_not_block_the_start(server: EmbeddedServer, content: str) -> None:
    with server:
        pass
    _ = (server.data_dir / "postmaster.pid").write_text(content)
    with server:
        assert query(server, "SELECT 1") == [(1,)]


def test_initdb_killed_midway_leaves_nothing_half_made(new_server: EmbeddedServer) -> None:
    server = new_server
    base = server.data_dir.parent
    with Owner(server) as owner:
        wait_until(lambda: any(base.glob("data.init-*/base")))
        owner.kill()
    assert not server.data_dir.exists()
    with server:
        assert query(server, "SELECT 1") == [(1,)]
    assert [path.name for path in base.glob("data*")] == ["data"]


def test_a_user_killed_while_the_server_starts_leaves_it_to_the_next(server: EmbeddedServer) -> None:
    with server:
        pass
    with Owner(server) as owner:
        wait_until((server.data_dir / "postmaster.pid").exists)
        owner.kill()
    with server:
        assert query(server, "SELECT 1") == [(1,)]
    assert not server.is_running()


def test_a_socket_removed_by_a_cleaner_is_made_again(server: EmbeddedServer) -> None:
    with server:
        shutil.rmtree(server.data_dir.parent / "s")
        assert not server.is_running()
        with server:
            assert query(server, "SELECT 1") == [(1,)]


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_failed_start_names_the_reason_and_the_log(server: EmbeddedServer) -> None:
    configuration = server.data_dir / "postgresql.conf"
    good = configuration.read_text()
    _ = configuration.write_text(f"{good}max_connections = lots\n")
    try:
        with pytest.raises(StorageError, match=r"FATAL.*postgresql.conf.*see .*postgres\.log") as caught:
            server.acquire()
    finally:
        _ = configuration.write_text(good)
    assert "\n" not in str(caught.value)
    server.release()
    assert not server.is_running()
    with server:
        assert query(server, "SELECT 1") == [(1,)]


def test_data_of_another_version_is_refused_untouched(new_server: EmbeddedServer) -> None:
    server = new_server
    server.data_dir.mkdir(parents=True)
    _ = (server.data_dir / "PG_VERSION").write_text("16\n")
    if os.geteuid() == 0:
        shutil.chown(server.data_dir, "nobody")
    with pytest.raises(ConfigError, match="written by PostgreSQL 16, this program has 18: pg_dump it"):
        server.acquire()
    assert [path.name for path in server.data_dir.iterdir()] == ["PG_VERSION"]


def test_missing_binaries_are_a_setting_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_runtime, "_PACKAGE", "no_such_package")
    with pytest.raises(ConfigError, match="make setup"):
        _ = embedded_runtime.find_install()
