"""A database is moved whole or not at all, the copy is proven, and a move that was killed can be repeated."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apex_pipeline.errors import ConfigError, StorageError
from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store import moving
from apex_pipeline.store.moving import Moved, is_there, move
from tests.conftest import clone
from tests.store.rows import asked, connected, query, sqlstate, tables_hash, value

RUN = "INSERT INTO load_runs (broker, from_date, to_date, started_at) VALUES ('IB', '2026-03-06', '2026-03-06', now())"
EVENT = "INSERT INTO system_events (event_type, severity, message) VALUES ('LATER', 'INFO', 'x')"
SEEN = "INSERT INTO seen (word) VALUES ('later')"
REFUSED = "23001"
SECRET = "odd:secret/with@signs"

KILLED = """
import os, signal, sys
from apex_pipeline.store.moving import move
def observe(what, done, total):
    if what.startswith(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
move([(sys.argv[1], sys.argv[2])], observe)
"""


@pytest.fixture
def source(database_url: str) -> str:
    """A migrated database with rows of every awkward kind."""
    query(
        database_url,
        """
        INSERT INTO system_events (event_type, severity, message, details)
        SELECT 'SEEN', 'INFO', E'tab\\t, line\\n, \\\\ 频率太高 ' || n, jsonb_build_object('n', n / 7.0, 'no', NULL)
        FROM generate_series(1, 3000) AS n
        """,
    )
    query(
        database_url,
        """
        INSERT INTO raw_documents (sha256, media_type, byte_size, content, first_received_at)
        SELECT 'h' || n, 'text/xml', n, decode(repeat(lpad(to_hex(n), 2, '0'), 5000), 'hex'),
               '2026-03-08 07:30:00.123456Z'
        FROM generate_series(0, 255) AS n
        """,
    )
    query(database_url, RUN)
    return database_url


@pytest.fixture
def small(other: str) -> str:
    """A database with one of each: a table with rows, an index, a sequence, a function, a trigger."""
    query(
        other,
        """
        CREATE TABLE seen (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, word text, twice bigint
                           GENERATED ALWAYS AS (n * 2) STORED, share double precision);
        INSERT INTO seen (word, share) SELECT 'word ' || n, n / 7.0 FROM generate_series(1, 100) AS n;
        CREATE INDEX by_word ON seen (word);
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE TRIGGER kept BEFORE UPDATE ON seen FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
        """,
    )
    return other


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are not waited for."""
    monkeypatch.setattr(moving, "OTHERS_SECONDS", 0.3)


@pytest.fixture
def second(server_url: str) -> Iterator[str]:
    """Another empty database."""
    yield from clone(server_url, None)


@pytest.fixture
def other(server_url: str) -> Iterator[str]:
    """A second database to move."""
    yield from clone(server_url, None)


def relations(url: str) -> int:
    return int(value(url, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"))


def names(url: str) -> list[str]:
    return [
        name
        for (name,) in query(
            url, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
    ]


def test_a_moved_database_is_equal_and_lives_on(source: str, empty_url: str) -> None:
    (moved,) = move([(source, empty_url)])
    assert (moved.was_there, moved.tables) == (False, len(names(source)))
    assert moved.rows == sum(value(source, f'SELECT count(*) FROM "{name}"') for name in names(source))  # pyright: ignore[reportArgumentType]
    assert tables_hash(empty_url, names(source)) == tables_hash(source, names(source))
    query(empty_url, EVENT)
    assert value(empty_url, "SELECT max(event_id) FROM system_events") == 3001
    assert sqlstate(empty_url, "DELETE FROM raw_documents") == REFUSED
    assert sqlstate(empty_url, "INSERT INTO loads (run_id) VALUES (99)") == sqlstate(
        source, "INSERT INTO loads (run_id) VALUES (99)"
    )
    assert value(empty_url, "SELECT reltuples FROM pg_class WHERE relname = 'system_events'") == 3000


def test_a_move_is_repeated_without_harm_until_the_new_place_is_used(small: str, empty_url: str) -> None:
    (first,) = move([(small, empty_url)])
    (again,) = move([(small, empty_url)])
    assert again == Moved(first.name, first.tables, first.rows, was_there=True)
    query(empty_url, SEEN)
    with pytest.raises(ConfigError, match="holds tables already, and not those of"):
        move([(small, empty_url)])
    assert query(empty_url, "SELECT n, word, twice FROM seen ORDER BY n DESC LIMIT 1") == [(101, "later", 202)]


DIFFERENCES: list[tuple[Any, Any]] = [
    ("UPDATE seen SET word = 'other' WHERE n = 7", "UPDATE seen SET word = 'word 7' WHERE n = 7"),
    ("DROP INDEX by_word", "CREATE INDEX by_word ON seen (word)"),
    ("ALTER TABLE seen DISABLE TRIGGER USER", "ALTER TABLE seen ENABLE TRIGGER USER"),
    ("SELECT nextval('seen_n_seq')", "SELECT setval('seen_n_seq', 100)"),
    ("ALTER TABLE seen ADD COLUMN more text", "ALTER TABLE seen DROP COLUMN more"),
    (
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ),
]


def test_a_row_an_index_a_trigger_or_a_sequence_that_differs_is_no_copy(small: str, empty_url: str) -> None:
    move([(small, empty_url)])
    for change, undone in DIFFERENCES:
        query(empty_url, change)
        with pytest.raises(ConfigError, match="not those of"):
            move([(small, empty_url)])
        query(empty_url, undone)
        assert move([(small, empty_url)])[0].was_there


def test_a_target_that_holds_anything_is_left_as_it_is(small: str, empty_url: str) -> None:
    query(empty_url, "CREATE TABLE mine (n integer)")
    with pytest.raises(ConfigError, match="drop it or name an empty database; nothing was changed"):
        move([(small, empty_url)])
    assert relations(empty_url) == 1


def test_a_copy_that_differs_is_not_kept(small: str, empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(_out: Any, _into: Any, table: Any, _sender: Any) -> None:
        if table["name"] != "seen":
            copy_rows(_out, _into, table, _sender)

    copy_rows = moving.copy_rows
    monkeypatch.setattr(moving, "copy_rows", forget)
    with pytest.raises(StorageError, match=r"differs in 1 things \(rows of public.seen\): nothing was changed"):
        move([(small, empty_url)])
    assert relations(empty_url) == 0


def test_rows_that_end_early_are_an_error(small: str, empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(out: Any, what: Any, sending: int) -> None:
        send(out, what, sending)
        raise StorageError("the small was lost")

    send = moving.send
    monkeypatch.setattr(moving, "send", half)
    with pytest.raises(StorageError, match="the small was lost"):
        move([(small, empty_url)])
    assert relations(empty_url) == 0


def test_all_databases_are_moved_or_none(source: str, empty_url: str, other: str, second: str) -> None:
    query(other, "CREATE TABLE runs (n integer)")
    query(second, "CREATE TABLE mine (n integer)")
    with pytest.raises(ConfigError, match="holds tables already"):
        move([(source, empty_url), (other, second)])
    assert relations(empty_url) == 0


def test_the_place_where_the_data_is_already_is_refused(small: str) -> None:
    with pytest.raises(ConfigError, match="is where the data is already"):
        move([(small, asked(small, "application_name=other"))])


@pytest.mark.usefixtures("impatient")
def test_one_move_runs_at_a_time(small: str, empty_url: str, second: str) -> None:
    with pytest.raises(StorageError, match=r"another move of .* is running"):
        move([(small, empty_url), (small, second)])
    assert relations(empty_url) == 0


def test_a_database_without_tables_is_nothing_to_move(empty_url: str, second: str) -> None:
    with pytest.raises(ConfigError, match="there is nothing to move"):
        move([(empty_url, second)])


@pytest.mark.usefixtures("impatient")
def test_nobody_else_may_use_the_source(small: str, empty_url: str) -> None:
    with (
        connected(asked(small, "application_name=engine")),
        pytest.raises(StorageError, match=r"1 other sessions use .*: engine"),
    ):
        move([(small, empty_url)])
    assert relations(empty_url) == 0


def test_a_writer_who_comes_later_waits_until_the_copy_is_done(small: str, empty_url: str) -> None:
    refused: list[str | None] = []

    def write(what: str, done: int, total: int) -> None:
        if what.startswith("copying"):
            refused.append(sqlstate(asked(small, "options=-c%20lock_timeout%3D50"), SEEN))
            assert value(small, "SELECT count(*) FROM seen") == 100  # readers need not wait

    move([(small, empty_url)], write)
    assert set(refused) == {"55P03"}
    assert sqlstate(small, SEEN) is None


@pytest.mark.parametrize("at", ["copying", "copying apex_test_", "comparing"])
def test_a_move_that_is_killed_leaves_nothing_and_can_be_repeated(source: str, empty_url: str, at: str) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, source, empty_url, at], cwd=PROJECT_DIR, check=False)
    assert ended.returncode == -9
    assert relations(empty_url) == 0
    (moved,) = move([(source, empty_url)])
    assert not moved.was_there


def test_the_schema_is_told_in_words_of_every_server_and_passwords_unseen(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], **how: Any) -> Any:
        seen.append((command, how["env"]))
        return started(command, **how)

    started: Callable[..., Any] = subprocess.run
    monkeypatch.setattr(subprocess, "run", run)
    text = moving.schema_sql(asked(source, "password=") + SECRET.replace("@", "%40").replace("/", "%2F"), "pre-data")
    assert "CREATE TABLE public.orders_norm" in text
    assert not [line for line in text.splitlines() if line.startswith(("\\", "SET transaction_timeout"))]
    ((command, environment),) = seen
    assert SECRET not in " ".join(command)
    assert environment["PGPASSWORD"] == SECRET


def test_a_server_that_pg_dump_cannot_read_is_said_in_one_line(small: str) -> None:
    with pytest.raises(StorageError, match=r"pg_dump cannot read .*nosuch.*; nothing was changed") as caught:
        moving.schema_sql(small.replace("/apex_test", "/nosuch"), "pre-data")
    assert "\n" not in str(caught.value)


def test_whether_a_database_is_there(small: str) -> None:
    assert is_there(small)
    assert not is_there(small.replace("/apex_test", "/nosuch"))


def test_what_a_server_refuses_is_said_in_one_line(small: str, empty_url: str) -> None:
    query(empty_url, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 3'")
    with pytest.raises(StorageError, match=r'refused: function "f" already exists .*; nothing was changed'):
        move([(small, empty_url)])
    assert relations(empty_url) == 0
