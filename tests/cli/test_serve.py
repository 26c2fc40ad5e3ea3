"""`apex serve`, `apex status` and `apex timescale` as a person meets them."""

import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from apex_pipeline.cli.status import WIDTH
from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store.db import Database
from apex_pipeline.store.embedded import EmbeddedServer
from apex_pipeline.store.migrate import MigrationRunner
from tests.cli.program import Apex, finished, kill_session
from tests.cli.test_refusals import require_refusal
from tests.conftest import fastest_folder
from tests.serving.world import captured, loaded
from tests.store import timescale_stand_in as stand_in
from tests.store.rows import query

OFFLINE = {"FUTU_PORT": "1", "IB_FLEX_URL": "http://127.0.0.1:1", "IB_FLEX_TOKEN": "a-token", "IB_FLEX_QUERY_ID": "1"}
"""Brokers that nobody reaches."""


@pytest.fixture
def offline(apex: Apex) -> Apex:
    """The command while both brokers are offline."""
    apex.environment |= OFFLINE
    return apex


class Served:
    """A running `apex serve` and its address."""

    def __init__(self, apex: Apex, **more: str) -> None:
        self.child = apex.start("serve", "--port", "0", **more)
        assert self.child.stdout is not None
        self.url = self.child.stdout.readline().strip()

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", trust_env=False, timeout=20)


@pytest.fixture
def children() -> Iterator[list["subprocess.Popen[str]"]]:
    """Commands to end if a test leaves them."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for child in started:
        if child.poll() is None:
            kill_session(child)
            child.communicate()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_end(
    offline: Apex, children: list["subprocess.Popen[str]"], sign: signal.Signals
) -> None:
    loaded(offline.environment["APEX_DATABASE_URL"])
    served = Served(offline)
    children.append(served.child)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", served.url)
    assert served.get("/portfolio/summary").json()["accounts"][1]["portfolio_value"] == 1120
    with socket.create_connection(("127.0.0.1", int(served.url.rsplit(":", 1)[1]))):  # one that says nothing
        served.child.send_signal(sign)
        ended = finished(served.child, timeout=20)
    assert ended.code == 0, ended.text
    assert "stopped" in ended.err
    assert "Traceback" not in ended.err


def test_a_port_in_use_is_one_line(offline: Apex) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        require_refusal(
            offline("serve", "--port", port), rf"cannot listen on port {port} \(.*\): choose another --port"
        )


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the server's own user reaches."""
    with tempfile.TemporaryDirectory(prefix="apex-serve-", dir=fastest_folder()) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_database_that_is_stopped_and_started_again_is_served_again(
    offline: Apex, children: list["subprocess.Popen[str]"], home: Path
) -> None:
    with EmbeddedServer(home) as server:
        url = server.url("postgres")
        with Database(url) as db:
            MigrationRunner(db, PROJECT_DIR / "migrations").run()
        served = Served(offline, APEX_DATABASE_URL=url)
        children.append(served.child)
        assert served.get("/health").status_code == 200
    lost = served.get("/health")
    assert (lost.status_code, list(lost.json())) == (503, ["error"])
    with EmbeddedServer(home):
        assert served.get("/health").status_code == 200
        served.child.send_signal(signal.SIGTERM)
        assert finished(served.child).code == 0


def test_the_status_of_an_empty_database_says_what_to_run(offline: Apex, empty_url: str) -> None:
    offline.environment["APEX_DATABASE_URL"] = empty_url
    plain = offline("status")
    assert plain.code == 0, plain.text
    assert "no migration was applied yet: run `apex backfill`" in plain.out
    told = offline("status", "--json").json()
    assert (told["migration"], told["open_breaks"]) == (0, None)
    assert told["pending_migrations"][0] == 1
    assert offline("migrate").code == 0
    assert "nothing is loaded yet" in offline("status").out
    assert offline("status", "--json").json()["open_breaks"] == 0


def test_the_status_tells_first_what_needs_a_person(offline: Apex) -> None:
    url = offline.environment["APEX_DATABASE_URL"]
    well = offline("status")
    assert not [line for line in well.out.splitlines() if line.startswith("!")]
    loaded(url)
    captured(url, "2026-04-30T20:00Z", "2026-04-30T23:30Z", "1 minute")
    signals = (
        "INSERT INTO risk_signals (signal_type, level, metric, value, threshold, scope, resolved_at) VALUES "
        "('LIMIT', 'BREACH', 'drawdown', 0.21, 0.20, 'PORTFOLIO', NULL), "
        "('LIMIT', 'WARNING', 'cash', 1, 2, 'U1', now())"
    )
    query(url, signals)
    engines = (
        "INSERT INTO instance_metadata (instance_id, last_heartbeat, is_leader, lease_expires_at) VALUES "
        "('one', now(), true, now() + interval '1 hour'), ('two', now() - interval '1 day', false, NULL)"
    )
    query(url, engines)
    ended = offline("status")
    assert ended.code == 0, ended.text
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    offenders = [line.split()[1] for line in lines[:9] if line.startswith("!")]
    assert offenders == ["loads", "risk", "snapshots"]
    assert [line.startswith("!") for line in lines[:9]] == [True] * 3 + [False] * 6
    assert "one leads, heartbeat 0 s ago; 1 alive" in ended.out or "one leads" in ended.out
    told = offline("status", "--json").json()
    assert [row["metric"] for row in told["risk_signals"]] == ["drawdown"]
    assert {row["kind"]: row["account_id"] for row in told["snapshots"]} == {
        "positions": "U1",
        "account": "U1",
        "risk": "PORTFOLIO",
    }
    assert [row["leads"] for row in told["instances"]] == [True, False]
    assert {"server_version", "size_bytes", "timescaledb", "coverage", "watermarks", "quarantined"} <= set(told)


def test_timescale_is_refused_in_one_line_where_the_server_has_none(offline: Apex) -> None:
    require_refusal(offline("timescale", "enable"), r"this server has no TimescaleDB: install .*; nothing was changed")
    status = offline("timescale", "enable", "--status")
    assert (status.code, status.out) == (0, "TimescaleDB: this server has none; everything works without it\n")
    switched_off = offline("timescale", "enable", APEX_TIMESCALE="false")
    require_refusal(switched_off, r"database\.timescale\.enabled is false")


def test_timescale_is_enabled_once_and_shown(offline: Apex) -> None:
    url = offline.environment["APEX_DATABASE_URL"]
    with stand_in.on_offer(url):
        stand_in.licensed(url, "apache")
        assert "can be installed" in offline("timescale", "enable", "--status").out
        first = offline("timescale", "enable")
        assert first.code == 0, first.text
        assert "ohlcv: chunks of 1 month: done now" in first.out
        assert "without compression and policies" in first.out
        assert "done now" not in offline("timescale", "enable").out
        assert offline("status", "--json").json()["timescaledb"]["state"] == "ENABLED"


def test_a_step_that_timescale_refuses_is_one_line(offline: Apex) -> None:
    url = offline.environment["APEX_DATABASE_URL"]
    with stand_in.on_offer(url):
        refused = offline("timescale", "enable")  # a plain PostgreSQL does not know the options of tables
    assert refused.code == 1
    assert len(refused.complaints) == 1
    assert "Traceback" not in refused.err
