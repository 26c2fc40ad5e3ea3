"""Embedded servers of the tests' own: one cluster that a run's tests use in turn, or one made for a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apex_pipeline.store.embedded import EmbeddedServer
from tests.store.embedded_owner import kill_postmaster, open_folder, query


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture
def new_server(folder: Path) -> EmbeddedServer:
    return EmbeddedServer(folder / "home", system_root=folder / "system")


@pytest.fixture(scope="session")
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
