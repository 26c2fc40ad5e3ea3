"""A broker that does not answer, refuses or leaves something out: exit code 1, one line, nothing left behind."""

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg2
import psycopg2.extensions
import pytest

from tests.cli import traded
from tests.cli.conftest import flex_environment
from tests.cli.flex import Flex
from tests.cli.opend import OpenD, Row
from tests.cli.program import Apex, Ended, processes_with
from tests.cli.sql import rows
from tests.cli.traded import BIG, FRIDAY, IB

DAYS = ("--from-date", str(FRIDAY - timedelta(days=4)), "--to-date", str(FRIDAY))
SECONDS = 15


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def require_failure(ended: Ended, *words: str) -> None:
    """Exit code 1 and exactly one line that complains, holding these words."""
    assert ended.code == 1, ended.text
    assert "Traceback" not in ended.text
    assert len(ended.complaints) == 1, ended.text
    assert [word for word in words if word not in ended.complaints[0]] == []


def require_nobody_left(apex: Apex) -> None:
    """No process of this test's state folder lives on."""
    assert processes_with(f"APEX_HOME={apex.home}") == []


@pytest.mark.parametrize("fault", ["not listening", "no such host", pytest.param("mute", marks=pytest.mark.slow)])
def test_an_opend_that_cannot_be_used_is_told_in_time(apex: Apex, fault: str, mute_port: int, closed_port: int) -> None:
    host = "opend.invalid" if fault == "no such host" else "127.0.0.1"
    port = str(mute_port if fault == "mute" else closed_port)
    ended = apex("doctor", "--json", APEX_BROKERS="futu", FUTU_HOST=host, FUTU_PORT=port)
    assert ended.code == 1, ended.text
    finding = next(finding for finding in ended.json() if finding["name"] == "futu")
    assert not finding["ok"]
    assert "FUTU_HOST" in finding["text"]
    assert "FUTU_PORT" in finding["text"]
    assert ended.seconds < SECONDS
    require_nobody_left(apex)


def test_a_backfill_from_a_mute_opend_ends_in_time_and_leaves_nobody(apex: Apex, mute_port: int) -> None:
    ended = apex("backfill", *DAYS, APEX_BROKERS="futu", FUTU_PORT=str(mute_port))
    require_failure(ended, "FUTU_HOST=127.0.0.1", f"FUTU_PORT={mute_port}")
    assert ended.seconds < SECONDS + 10, "the attempt itself takes 15 s at most, the run around it a few more"
    require_nobody_left(apex)


def test_a_wrong_token_is_refused_once_and_never_told_to_anyone(
    apex: Apex, flex: Flex, database_url: str, dagster_url: str
) -> None:
    wrong = "551199337700224466881357"
    ended = apex("backfill", *DAYS, "--debug", **{**flex_environment(flex), "IB_FLEX_TOKEN": wrong})
    require_failure(ended, "IB_FLEX_TOKEN", "1015")
    assert [service for service, _ in flex.asked] == ["SendRequest"]
    assert wrong not in ended.text
    assert places_of(wrong, apex.home, (database_url, dagster_url)) == []


def test_the_right_token_is_nowhere_but_in_its_requests(
    with_flex: Apex, flex: Flex, database_url: str, dagster_url: str
) -> None:
    ended = with_flex("backfill", *DAYS)
    assert ended.code == 0, ended.text
    assert all(asked["t"] == flex.token for _, asked in flex.asked)
    assert flex.token not in ended.text
    assert places_of(flex.token, with_flex.home, (database_url, dagster_url)) == []
    assert places_of("FlexQueryResponse" if False else traded.IB, with_flex.home, (database_url,)) != []


def test_a_flex_service_that_does_not_listen_is_told_at_once(apex: Apex, closed_port: int, flex: Flex) -> None:
    environment = flex_environment(flex) | {
        "IB_FLEX_URL": f"http://127.0.0.1:{closed_port}",
        "IB_FLEX_POLL_SECONDS": "10",
    }
    ended = apex("doctor", "--json", **environment)
    assert ended.code == 1
    assert ended.seconds < SECONDS, "a person waits: a dead connection is tried once"


def test_one_broker_that_is_down_does_not_stop_the_other(
    with_futu: Apex, opend: OpenD, closed_port: int, database_url: str
) -> None:
    down = {
        "APEX_BROKERS": "futu,ib",
        "IB_FLEX_URL": f"http://127.0.0.1:{closed_port}",
        "IB_FLEX_TOKEN": "t",
        "IB_FLEX_QUERY_ID": "1",
        "IB_FLEX_POLL_SECONDS": "0.01",
    }
    ended = with_futu("backfill", "--broker", "all", "--json", *DAYS, **down)
    assert ended.code == 1, ended.text
    told = ended.json()
    assert told["status"] == "PARTIAL"
    assert {name: result["status"] for name, result in told["brokers"].items()} == {"futu": "SUCCESS", "ib": "FAILED"}
    assert (told["orders_loaded"], told["deals_loaded"]) == (3, 3)
    assert told["brokers"]["futu"]["errors"] == []
    assert len(ended.complaints) == 1, ended.text
    assert rows(database_url, "SELECT count(*) FROM orders_norm")[0]["count"] == 3


def test_a_malformed_row_is_quarantined_and_its_day_loads(with_futu: Apex, opend: OpenD, database_url: str) -> None:
    day = FRIDAY - timedelta(days=2)
    good = opend.login.orders[BIG][-1]
    timeless = {**good.fields, "orderID": 66, "orderIDEx": "66", "createTime": "half past nine"}
    impossible = {**good.fields, "orderID": 67, "orderIDEx": "67", "qty": float("nan")}
    opend.login.orders[BIG] += [Row("US", good.at, timeless), Row("US", good.at, impossible)]
    ended = with_futu("backfill", *DAYS, "--json")
    assert ended.code == 1, ended.text
    told = ended.json()
    assert told["status"] == "PARTIAL"
    assert told["brokers"]["futu"]["quarantined"] == 1
    assert told["unreadable"] == 1
    kept = rows(database_url, "SELECT broker_key, reason_code FROM quarantine WHERE resolved_at IS NULL ORDER BY 1")
    assert kept == [
        {"broker_key": "66", "reason_code": "bad_time"},
        {"broker_key": "67", "reason_code": "bad_number"},
    ]
    loaded = rows(database_url, "SELECT broker_order_id FROM orders_norm WHERE trade_date = %s", (day,))
    assert loaded == [{"broker_order_id": "10007"}]
    opend.login.orders[BIG][-2:] = []
    opend.login.orders[BIG] += [Row("US", good.at, {**timeless, "createTime": good.fields["createTime"]})]
    again = with_futu("backfill", *DAYS, "--json")
    assert again.json()["brokers"]["futu"]["quarantined"] == 0
    left = rows(database_url, "SELECT broker_key FROM quarantine WHERE resolved_at IS NULL")
    assert left == [{"broker_key": "67"}], "a row that is readable now leaves, one that is not sent any more stays"


def test_days_that_no_statement_tells_about_are_missing_and_said(
    with_flex: Apex, flex: Flex, database_url: str
) -> None:
    flex.skipped = {FRIDAY - timedelta(days=2)}
    ended = with_flex("backfill", *DAYS, "--json")
    assert ended.code == 1, ended.text
    assert ended.json()["status"] == "PARTIAL"
    assert ended.json()["brokers"]["ib"]["uncovered_days"] == 1
    assert "not covered" in ended.complaints[0]
    told = rows(database_url, "SELECT DISTINCT account_id FROM trades_norm WHERE broker = 'IB'")
    assert told == [{"account_id": IB}]


def places_of(secret: str, home: Path, urls: tuple[str, ...]) -> list[str]:
    """Files below `home` and tables of these databases that hold the text."""
    found = [str(path) for path in home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    for url in urls:
        with psycopg2.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT table_schema, table_name FROM information_schema.tables"
                " WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'"
            )
            for schema, table in cursor.fetchall():
                name = psycopg2.extensions.quote_ident(table, cursor)
                cursor.execute(f"SELECT count(*) FROM {schema}.{name} AS t WHERE t::text LIKE %s", (f"%{secret}%",))
                row = cursor.fetchone()
                if row and row[0]:
                    found.append(f"{table} of {url.rsplit('/', 1)[-1]}")
    return found
