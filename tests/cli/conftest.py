"""The command, its two hostile brokers and its database, for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from psycopg2 import sql

from apex_pipeline.settings import sibling_database
from tests.cli import traded
from tests.cli.flex import Flex
from tests.cli.opend import OpenD
from tests.cli.program import Apex


@pytest.fixture(scope="session")
def dagster_url(server_url: str) -> Iterator[str]:
    """One Dagster storage for the commands of this test process: making one takes seconds."""
    name = f"apex_cli_dagster_{uuid4().hex[:12]}"
    yield sibling_database(server_url, name)
    connection = psycopg2.connect(server_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    connection.close()


@pytest.fixture
def opend() -> Iterator[OpenD]:
    """A hostile OpenD that knows `traded.login()`."""
    with OpenD(traded.login()) as server:
        yield server


@pytest.fixture
def flex() -> Iterator[Flex]:
    """A hostile Flex service that knows `traded.flex_rows()`."""
    with Flex(traded.FLEX_TOKEN, traded.FLEX_QUERY, traded.flex_rows()) as server:
        yield server


@pytest.fixture
def apex(tmp_path: Path, database_url: str, dagster_url: str) -> Apex:
    """The command with a database and a state folder of its own, and no broker."""
    return Apex(
        tmp_path,
        {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "APEX_HOME": str(tmp_path / "state"),
            "APEX_DATABASE_URL": database_url,
            "APEX_DAGSTER_DATABASE_URL": dagster_url,
        },
    )


def futu_environment(server: OpenD) -> dict[str, str]:
    """The variables that point to this OpenD; its limits are short so that tests do not wait."""
    return {
        "APEX_BROKERS": "futu",
        "FUTU_HOST": "127.0.0.1",
        "FUTU_PORT": str(server.port),
        "FUTU_WINDOW_SECONDS": "0.1",
    }


def flex_environment(server: Flex) -> dict[str, str]:
    """The variables that point to this Flex service."""
    return {
        "APEX_BROKERS": "ib",
        "IB_FLEX_URL": server.url,
        "IB_FLEX_TOKEN": server.token,
        "IB_FLEX_QUERY_ID": server.query_id,
        "IB_FLEX_POLL_SECONDS": "0.05",
        "IB_FLEX_REQUESTS_PER_MINUTE": "1000",
    }


@pytest.fixture
def with_futu(apex: Apex, opend: OpenD) -> Apex:
    """The command with the hostile OpenD."""
    apex.environment |= futu_environment(opend)
    return apex


@pytest.fixture
def with_flex(apex: Apex, flex: Flex) -> Apex:
    """The command with the hostile Flex service."""
    apex.environment |= flex_environment(flex)
    return apex
