"""A secret reaches a broker or a server and nothing else: not Dagster's tables, not a file of its home."""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import dagster as dg
import psycopg2
import pytest
from psycopg2 import sql

from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.settings import Settings, sibling_database
from tests.orchestration.conftest import Place, made_place

WRONG_TOKEN = "canary-of-a-token-7391"
PASSWORD = "canary-of-a-password-2846"


@pytest.fixture(scope="module")
def refused(server_url: str, scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A product whose Flex token is refused; `run` has been asked once."""

    def wrong(configured: Settings) -> Settings:
        return replace(configured, ib=replace(configured.ib, token=WRONG_TOKEN))

    with made_place(server_url, scenario, tmp_path_factory.mktemp("refused"), wrong) as place:
        yield place


def places_of(secret: str, place: Place) -> set[str]:
    """Where the secret can be read: tables of both databases, unpacked, and files below the home."""
    urls = {place.db.url, sibling_database(place.db.url)}
    found = {f"{table}" for url in urls for table in _tables_with(secret.encode(), url)}
    files = [path for path in place.configured.home.rglob("*") if path.is_file()]
    return found | {str(path) for path in files if secret.encode() in path.read_bytes()}


def _tables_with(secret: bytes, url: str) -> Iterator[str]:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
            if any(secret in _readable(value) for row in cursor for value in row):
                yield str(table)
    connection.close()


def _readable(value: object) -> bytes:
    if not isinstance(value, memoryview):
        return str(value).encode()
    packed = bytes(value)
    with suppress(zlib.error):
        return zlib.decompress(packed)
    return packed


def test_a_refused_token_is_not_tried_again_and_shows_nowhere(refused: Place) -> None:
    first, second = refused.run()
    (line,) = first.errors.values()
    assert list(first.errors) == ["ib_history"]
    assert second.succeeded
    assert "token" in line.lower()
    assert WRONG_TOKEN not in line
    assert len(refused.events(first.run_id, dg.DagsterEventType.STEP_UP_FOR_RETRY)) == 0
    assert len(refused.flex.requests) == 1
    assert places_of(WRONG_TOKEN, refused) == set()


def test_the_search_finds_a_token_that_does_leak(refused: Place) -> None:
    """The control of the test above."""

    @dg.asset
    def leaking() -> None:
        raise ValueError(f"cannot log in with {WRONG_TOKEN}")

    result = dg.materialize([leaking], instance=refused.instance, raise_on_error=False)
    assert not result.success
    assert "event_logs" in places_of(WRONG_TOKEN, refused)
    (refused.configured.home / "leak.txt").write_text(f"token={WRONG_TOKEN}")
    assert str(refused.configured.home / "leak.txt") in places_of(WRONG_TOKEN, refused)
