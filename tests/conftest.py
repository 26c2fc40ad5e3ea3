"""One PostgreSQL for all tests of a run, and a migrated database of its own for each test that asks.

`APEX_TEST_DATABASE_URL` points the tests at another server (its role must be able to create databases).
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psycopg2.extensions
import pytest
from psycopg2 import sql

from apex_pipeline.settings import PROJECT_DIR, sibling_database
from apex_pipeline.store.db import Database
from apex_pipeline.store.embedded import EmbeddedServer
from apex_pipeline.store.migrate import MigrationRunner
from tests.store.rows import connected

NEEDS = {"deploy/test_kubernetes.py": "kubernetes_validate", "e2e": "playwright"}
"""What only `requirements-checking.lock` brings, which `make test` installs; `make setup` alone does not."""
collect_ignore = [place for place, module in NEEDS.items() if find_spec(module) is None]

TEMPLATE = "apex_test_template"

MEMORY, ROOM = Path("/dev/shm"), 2 * 2**30
"""Where files are memory, and the bytes that must be free there: a run needs about a tenth of them."""

NOTHING_TO_SURVIVE = ("fsync", "synchronous_commit", "full_page_writes")
"""What makes a server outlive a loss of power; this one lives for a run."""


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A server for this run; every worker of the run shares it."""
    given = os.environ.get("APEX_TEST_DATABASE_URL")
    if given:
        yield given
        return
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid4().hex)[:12]
    home = fastest_folder() / f"apex-test-{os.getuid()}-{run}"
    home.mkdir(mode=0o755, exist_ok=True)
    with EmbeddedServer(home) as server:
        _hurry(server.url("postgres"))
        yield server.url("postgres")
    if not (server.data_dir / "postmaster.pid").exists():  # the last worker clears up
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server_url: str) -> str:
    """The name of a migrated database that tests are cloned from."""
    return migrated_template(server_url)


@pytest.fixture
def empty_url(server_url: str) -> Iterator[str]:
    """The URL of a database with nothing in it; dropped afterwards."""
    yield from clone(server_url, None)


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """The URL of a migrated database of this test's own; dropped afterwards."""
    yield from clone(server_url, template)


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """A migrated database of this test's own."""
    with Database(database_url) as opened:
        yield opened


def fastest_folder() -> Path:
    """The folder for the server: a clone is four hundred new files, which a disk takes half a second for."""
    roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    return MEMORY if roomy else Path(tempfile.gettempdir())


def _hurry(url: str) -> None:
    with connected(url) as connection, connection.cursor() as cursor:
        for setting in NOTHING_TO_SURVIVE:
            cursor.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        cursor.execute("SELECT pg_reload_conf()")


def made_once(server_url: str, name: str, fill: Callable[[str], None], template: str | None = None) -> str:
    """The name of a database that the first to ask for it makes and fills, for all workers of the run."""
    with _locked(server_url, name) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if not cursor.fetchone():
            _create(connection, name, template)
            fill(sibling_database(server_url, name))
    return name


def migrated_template(server_url: str) -> str:
    """The name of the migrated database that is cloned."""

    def migrate(url: str) -> None:
        with Database(url) as db:
            MigrationRunner(db, PROJECT_DIR / "migrations").run()

    return made_once(server_url, TEMPLATE, migrate)


def clone(server_url: str, template: str | None, name: str | None = None) -> Generator[str]:
    """Yield the URL of a copy of the database `template` (of an empty one without it), and drop it afterwards."""
    name = name or f"apex_test_{uuid4().hex[:12]}"
    with _locked(server_url, template or TEMPLATE) as connection:  # a template in use cannot be cloned
        _create(connection, name, template)
    try:
        yield sibling_database(server_url, name)
    finally:
        with connected(server_url) as connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _create(connection: psycopg2.extensions.connection, name: str, template: str | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template or "template0")
            )
        )


@contextmanager
def _locked(url: str, name: str) -> Generator[psycopg2.extensions.connection]:
    with connected(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", (name,))
        yield connection
