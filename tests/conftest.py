"""One PostgreSQL for all tests of a run, and a migrated database of its own for each test that asks.

`APEX_TEST_DATABASE_URL` points the tests at another server (its role must be able to create databases).
"""

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
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

TEMPLATE = "apex_test_template"


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A server for this run; every worker of the run shares it."""
    given = os.environ.get("APEX_TEST_DATABASE_URL")
    if given:
        yield given
        return
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid4().hex)[:12]
    home = Path(tempfile.gettempdir()) / f"apex-test-{os.getuid()}-{run}"
    home.mkdir(mode=0o755, exist_ok=True)
    with EmbeddedServer(home) as server:
        yield server.url("postgres")
    if not (server.data_dir / "postmaster.pid").exists():  # the last worker clears up
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server_url: str) -> str:
    """The name of a migrated database that tests are cloned from."""
    with _locked(server_url, TEMPLATE) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (TEMPLATE,))
        if not cursor.fetchone():
            _create(connection, TEMPLATE, None)
            with Database(sibling_database(server_url, TEMPLATE)) as db:
                MigrationRunner(db, PROJECT_DIR / "migrations").run()
    return TEMPLATE


@pytest.fixture
def empty_url(server_url: str) -> Iterator[str]:
    """The URL of a database with nothing in it; dropped afterwards."""
    yield from _database(server_url, None)


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """The URL of a migrated database of this test's own; dropped afterwards."""
    yield from _database(server_url, template)


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """A migrated database of this test's own."""
    with Database(database_url) as opened:
        yield opened


def _database(server_url: str, template: str | None) -> Iterator[str]:
    name = f"apex_test_{uuid4().hex[:12]}"
    with _locked(server_url, TEMPLATE) as connection:  # a template in use cannot be cloned
        _create(connection, name, template)
    yield sibling_database(server_url, name)
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
