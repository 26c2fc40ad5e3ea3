"""The embedded server lives exactly as long as it has users, threads and processes, and is closed to others."""

import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from apex_pipeline.store.embedded import EmbeddedServer
from tests.store.embedded_owner import CLOSED, WAIT_FOR_INPUT, Owner, postmaster_pid, query

pytestmark = pytest.mark.timeout(60)


# --- start and stop ---------------------------------------------------------------------------------------------------


def test_the_server_answers_with_durable_settings_and_is_closed_to_others(server: EmbeddedServer) -> None:
    with server:
        names = "fsync synchronous_commit full_page_writes data_checksums TimeZone listen_addresses jit"
        shown = [query(server, f"SHOW {name}")[0][0] for name in names.split()]
        assert shown == ["on", "on", "on", "on", "UTC", "", "off"]
        assert query(server, "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = 'apex'") == [("apex", True)]
        assert query(server, "SELECT 'é' < 'z', upper('é') COLLATE pg_c_utf8") == [(False, "É")]
        socket_folder = server.data_dir.parent / "s"
        assert [stat.S_IMODE(path.stat().st_mode) for path in (server.data_dir, socket_folder)] == [CLOSED, CLOSED]
        assert stat.S_IMODE(server.log_file.stat().st_mode) & 0o077 == 0
    assert not server.is_running()


def test_a_restart_keeps_rows(server: EmbeddedServer) -> None:
    with server:
        _ = query(server, "CREATE TABLE kept AS SELECT 7 AS value")
    with server:
        assert query(server, "SELECT value FROM kept") == [(7,)]


def test_the_url_is_independent_of_the_environment(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PGPORT", "1"), ("PGHOST", "nowhere.invalid"), ("PGUSER", "other"), ("PGDATA", "/nowhere")):
        monkeypatch.setenv(name, value)
    with server:
        assert query(server, "SELECT 1") == [(1,)]


def test_objects_and_threads_of_one_process_share_one_server(server: EmbeddedServer, shared_folder: Path) -> None:
    others = [EmbeddedServer(shared_folder / "home", system_root=shared_folder / "system") for _ in range(6)]
    threads = [threading.Thread(target=other.acquire) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.acquire()
    pid = postmaster_pid(server.data_dir)
    for other in others:
        other.release()
        other.release()  # one too many takes nothing from the others
    assert server.is_running()
    assert postmaster_pid(server.data_dir) == pid
    server.release()
    assert not server.is_running()


def test_the_server_is_out_of_reach_of_the_terminal(server: EmbeddedServer) -> None:
    with server:
        assert os.getsid(postmaster_pid(server.data_dir)) != os.getsid(0)


# --- several processes ------------------------------------------------------------------------------------------------


def test_only_the_last_of_two_processes_stops_the_server(server: EmbeddedServer) -> None:
    with server, Owner(server).wait_ready() as other:
        pid = postmaster_pid(server.data_dir)
        server.release()
        assert server.is_running()
        server.acquire()
        assert postmaster_pid(server.data_dir) == pid
        _ = other.finish()
        assert server.is_running()
    assert not server.is_running()


def test_a_process_that_ends_without_release_stops_the_server(server: EmbeddedServer) -> None:
    with Owner(server).wait_ready() as owner:
        assert server.is_running()
        _ = owner.finish()
    assert not server.is_running()


def test_processes_that_come_and_go_at_once_leave_no_server_and_lose_no_start(server: EmbeddedServer) -> None:
    body = "for _ in range(3):\n    assert server.is_running(); server.release(); server.acquire()"
    owners = [Owner(server, body) for _ in range(3)]
    for owner in owners:
        with owner:
            _ = owner.finish()
    assert not server.is_running()


def test_a_killed_user_leaves_a_server_which_the_next_user_stops(server: EmbeddedServer) -> None:
    with Owner(server).wait_ready() as owner:
        owner.kill()
    pid = postmaster_pid(server.data_dir)
    with server:
        assert postmaster_pid(server.data_dir) == pid
        assert query(server, "SELECT 1") == [(1,)]
    assert not server.is_running()


def test_a_program_started_by_a_user_does_not_keep_the_server_alive(server: EmbeddedServer) -> None:
    body = "child = subprocess.Popen(['sleep', '30'], close_fds=False, stdout=subprocess.DEVNULL); print(child.pid)"
    with Owner(server, body) as owner:
        child = int(owner.finish())
    try:
        assert not server.is_running()
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_forked_child_does_not_end_its_parents_use(server: EmbeddedServer) -> None:
    body = f"if os.fork() == 0:\n    server.release()\n    sys.exit()\nos.wait()\n{WAIT_FOR_INPUT}"
    with Owner(server, body).wait_ready() as owner:
        with server:
            pass
        assert server.is_running()
        _ = owner.finish()
    assert not server.is_running()
