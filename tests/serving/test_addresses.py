"""Every address tells what is known last, exactly and with its age, while no broker can be reached."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from apex_pipeline.store.db import Database
from tests.serving.world import captured, loaded, serving, told
from tests.store.rows import query

LAST_SHOT = "2026-04-30T23:30Z"


@pytest.fixture
def client(database_url: str) -> Iterator[httpx.Client]:
    """A client of a server over a year of two accounts."""
    loaded(database_url)
    with serving(database_url) as opened:
        yield opened


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_an_empty_database_is_told_as_nothing_known_and_never_as_zero(database_url: str) -> None:
    with serving(database_url) as client:
        summary = told(client, "/portfolio/summary")
        assert {summary[name] for name in summary if name != "accounts"} == {None}
        assert summary["accounts"] == []
        assert told(client, "/positions")["positions"] == told(client, "/trades")["trades"] == []
        latest = told(client, "/snapshots/latest")
        assert (latest["positions"], latest["accounts"], latest["risk"], latest["as_of"]) == ([], [], [], None)
        assert told(client, "/db/status")["open_breaks"] == 0


def test_health_tells_that_the_database_answers(client: httpx.Client) -> None:
    health = told(client, "/health")
    assert (health["status"], health["database"]) == ("ok", "ok")
    assert health["uptime_seconds"] > 0


def test_the_summary_tells_each_account_as_its_broker_told_it_last(client: httpx.Client) -> None:
    summary = told(client, "/portfolio/summary")
    futu, ib = summary["accounts"]
    assert (ib["portfolio_value"], ib["cash_balance"], ib["currency"]) == (1120, Decimal("100.1"), "USD")
    assert (ib["daily_pnl"], ib["daily_pnl_date"], ib["source"]) == (1, "2026-04-30", "BROKER")
    assert at(ib["as_of"]) == at("2026-04-30T22:00Z")  # not the end of the day, which nobody has told
    assert at(futu["as_of"]) == at("2026-04-30T23:00Z")
    assert ib["age_seconds"] > 0
    assert (ib["active_positions"], futu["active_positions"], summary["active_positions"]) == (40, 20, 60)
    assert (ib["total_trades"], summary["total_trades"]) == (30, 60)
    assert summary["win_rate"] == Decimal("0.666666666667")


def test_sums_of_two_currencies_need_a_rate(client: httpx.Client, database_url: str) -> None:
    summary = told(client, "/portfolio/summary")
    assert (summary["portfolio_value"], summary["cash_balance"], summary["daily_pnl"]) == (None, None, None)
    rate = (
        "INSERT INTO conversion_rates (rate_uid, broker, account_id, business_date, from_currency, to_currency, rate,"
        " source) VALUES ('R', 'IB', 'U1', '2026-04-29', 'HKD', 'USD', 0.125, 'FLEX')"
    )
    query(database_url, rate)
    summary = told(client, "/portfolio/summary", currency="USD")
    assert (summary["portfolio_value"], summary["currency"]) == (Decimal(1260), "USD")
    assert told(client, "/portfolio/summary")["currency"] == "HKD"
    assert told(client, "/portfolio/summary")["portfolio_value"] == 1120 + 8 * 1120
    assert told(client, "/portfolio/summary", account="U1")["portfolio_value"] == 1120
    assert at(summary["as_of"]) == at("2026-04-30T22:00Z")  # as old as its oldest part


def test_a_newer_snapshot_of_an_engine_is_told_before_the_day_of_the_ledger(
    client: httpx.Client, database_url: str
) -> None:
    captured(database_url, "2026-04-30T22:30Z", LAST_SHOT, "1 minute")
    summary = told(client, "/portfolio/summary", account="U1")
    assert (summary["portfolio_value"], summary["cash_balance"]) == (Decimal("5000.5"), Decimal("250.25"))
    assert (summary["source"], summary["active_positions"]) == ("SNAPSHOT", 2)
    assert at(summary["as_of"]) == at(LAST_SHOT)
    held = told(client, "/positions", account="U1")
    assert [(row["symbol"], row["qty"], row["source"]) for row in held["positions"]] == [
        ("US.S001", 1, "ENGINE"),
        ("US.S002", 2, "ENGINE"),
    ]
    assert told(client, "/positions", account="F1")["source"] == "LEDGER"


def test_an_older_snapshot_is_not_told_before_the_ledger(client: httpx.Client, database_url: str) -> None:
    captured(database_url, "2026-04-01T00:00Z", "2026-04-02T00:00Z", "1 hour")
    assert told(client, "/portfolio/summary", account="U1")["source"] == "BROKER"
    assert told(client, "/positions", account="U1")["count"] == 40
    assert told(client, "/snapshots/latest")["positions"][0]["position_count"] == 2


def test_the_book_tells_what_is_held_where_it_is_newest(client: httpx.Client, database_url: str) -> None:
    book = (
        "INSERT INTO positions (position_id, broker, account_id, symbol, quantity, entry_price, status, synced_at,"
        " source) VALUES ('P', 'IB', 'U1', 'US.S007', -7, 3.50, 'OPEN', '2026-05-02', 'IB'), "
        "('Q', 'FUTU', 'F1', 'US.S008', 0, 3.50, 'CLOSED', '2026-05-02', 'FUTU')"
    )
    query(database_url, book)
    (row,) = told(client, "/positions")["positions"]
    assert (row["symbol"], row["qty"], row["avg_cost"], row["source"]) == ("US.S007", -7, Decimal("3.5"), "IB")
    assert row["market_value"] is None
    assert told(client, "/portfolio/summary")["active_positions"] == 1  # the other account is known to hold nothing


def test_positions_are_told_by_page_and_symbol(client: httpx.Client) -> None:
    first = told(client, "/positions", limit=25)
    assert (first["count"], first["more"], first["limit"], first["offset"]) == (25, True, 25, 0)
    rest = told(client, "/positions", limit=100, offset=25)
    assert (rest["count"], rest["more"]) == (35, False)
    symbols = [(row["account_id"], row["symbol"]) for row in first["positions"] + rest["positions"]]
    assert len(set(symbols)) == 60
    assert told(client, "/positions", symbol="US.S030")["count"] == 1
    assert told(client, "/positions", broker="futu", symbol="US.S003")["positions"][0]["account_id"] == "F1"


def test_trades_are_round_trips_and_fills_are_executions_newest_first(client: httpx.Client) -> None:
    trades = told(client, "/trades", limit=5)
    assert [row["trade_id"] for row in trades["trades"]] == [f"T00000{n}" for n in range(1, 6)]
    assert (trades["more"], trades["source"]) == (True, "LEDGER")
    assert at(trades["as_of"]) == at("2026-04-30T22:00Z")
    assert trades["trades"][0]["fees"] == Decimal("0.1")
    fills = told(client, "/fills", limit=2, offset=1)
    assert [row["trade_uid"] for row in fills["fills"]] == ["IB_U1_000002", "IB_U1_000003"]
    since = "2026-04-30T10:00:00Z"
    assert told(client, "/fills", since=since)["count"] == 10
    assert told(client, "/trades", since=since)["count"] == 5
    assert told(client, "/trades", account="U1", symbol="US.S2")["count"] == 2
    assert told(client, "/trades", account="nobody")["as_of"] is None


def test_numbers_are_written_with_all_their_digits(client: httpx.Client, database_url: str) -> None:
    query(database_url, "UPDATE trades_norm SET price = 12345678901234567890.123456789012345678")
    text = client.get("/fills", params={"limit": 1}).text
    assert '"price":12345678901234567890.123456789012345678' in text


def test_many_may_ask_at_once(client: httpx.Client) -> None:
    paths = ["/portfolio/summary", "/positions", "/trades", "/fills", "/db/status", "/health"] * 8

    def ask(path: str) -> int:
        return httpx.get(f"{client.base_url}{path}", trust_env=False, timeout=20).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, paths)) == {200}


def test_every_address_is_listed_and_others_do_not_exist(client: httpx.Client) -> None:
    addresses = told(client, "/")["addresses"]
    assert {"/health", "/db/status", "/snapshots/latest", "/portfolio/summary", "/positions", "/trades"} <= set(
        addresses
    )
    for path in addresses:
        assert client.get(path).status_code == 200
    for path in ("/orders", "/health/x", "/../etc/passwd", "/%00"):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert "error" in answer.json()


def test_a_wrong_parameter_is_a_400_with_one_line(client: httpx.Client) -> None:
    for path in ("/trades?limit=5000", "/health?limit=1", "/positions?since=2026-01-01", "/trades?account=%00"):
        answer = client.get(path)
        assert answer.status_code == 400, path
        assert "\n" not in answer.json()["error"]
    quoted = client.get("/trades", params={"account": "'; DROP TABLE round_trips; --"})
    assert (quoted.status_code, quoted.json()["trades"]) == (200, [])
    assert client.get("/trades").json()["count"] > 0


def test_only_get_and_head_are_answered(client: httpx.Client) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        answer = client.request(method, "/health")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    head = client.head("/health")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 0


def test_other_sites_get_nothing_and_no_answer_permits_them(client: httpx.Client) -> None:
    wrong: list[dict[str, str]] = [
        {"host": "evil.example"},
        {"origin": "http://evil.example"},
        {"sec-fetch-site": "cross-site"},
    ]
    for headers in wrong:
        answer = client.get("/portfolio/summary", headers=headers)
        assert answer.status_code == 403
        assert "accounts" not in answer.text
    assert client.get("/health", headers={"sec-fetch-site": "none"}).status_code == 200
    for answer in (client.get("/health"), client.get("/nothing"), client.options("/health")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"] == "application/json"
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_lost_database_is_a_503_and_comes_back_by_itself(client: httpx.Client, database_url: str) -> None:
    name = query(database_url, "SELECT current_database()")[0][0]
    other = database_url.replace(name, "postgres")
    query(other, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')  # pyright: ignore[reportArgumentType]
    query(other, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
    for path in ("/health", "/db/status", "/portfolio/summary", "/trades"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "not currently accepting connections" in answer.json()["error"]
    query(other, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')  # pyright: ignore[reportArgumentType]
    assert client.get("/health").status_code == 200


def test_a_question_that_takes_too_long_is_given_up(database_url: str) -> None:
    with serving(database_url, seconds=0.3) as client:
        with Database(database_url) as db, db.transaction() as tx:
            tx.execute("LOCK TABLE sync_state IN ACCESS EXCLUSIVE MODE")
            answer = client.get("/trades")
        assert answer.status_code == 503
        assert "statement timeout" in answer.json()["error"]
        assert client.get("/trades").status_code == 200


def test_the_sessions_of_the_server_cannot_write(database_url: str) -> None:
    wrong: Any = "INSERT INTO system_events (event_type, severity, message) VALUES ('X', 'INFO', 'X')"
    with Database(database_url, read_only=True) as db, pytest.raises(Exception, match="read-only transaction"):
        db.execute(wrong)
    with Database(database_url) as db:
        assert db.execute(wrong) == 1
