"""What a live engine waits for: saving and reading its state, snapshots and a warm start beside a year of them.

The database is the embedded one with its usual settings over its socket, so a save waits for the disk. The year has a
snapshot of two accounts each minute, the newest of 500 positions, those before of ten (a year of minutes of 500
positions would be 80 GB). Each figure is of single calls, one after the other.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import quantiles
from typing import Any, LiteralString

from apex_pipeline.domain.engine import PortfolioPosition
from apex_pipeline.domain.market import Adjustment, Bar, BarSession
from apex_pipeline.live import (
    AccountSnapshotRepository,
    Database,
    DatabaseStateManager,
    OHLCVRepository,
    PositionSnapshotRepository,
    RiskSnapshotRepository,
    SystemEventRepository,
    TradeSignalRepository,
    WarmStartService,
)
from apex_pipeline.settings import PROJECT_DIR, sibling_database
from apex_pipeline.store.create import ensure_database
from apex_pipeline.store.embedded import EmbeddedServer
from apex_pipeline.store.migrate import MigrationRunner

CALLS, POSITIONS, MINUTES, BARS, BATCH = 1000, 500, 365 * 1440, 100_000, 2000
ACCOUNTS = (("FUTU", "1001"), ("IB", "U1"))

YEAR: LiteralString = """
WITH shape AS (
    SELECT p.broker, p.account_id, p.count, jsonb_agg(jsonb_build_object(
        'symbol', 'US.S' || n, 'instrument_id', 'US.S' || n, 'qty', n * 10, 'avg_cost', 10.25 + n,
        'mark_price', 11.125 + n, 'market_value', (11.125 + n) * n * 10, 'unrealized_pnl', 8.75 * n,
        'currency', 'USD', 'asset_class', 'STOCK') ORDER BY n) AS positions
    FROM (VALUES ('FUTU', '1001', 10), ('IB', 'U1', 10), ('FUTU', '1001', 500), ('IB', 'U1', 500))
         AS p (broker, account_id, count)
    CROSS JOIN LATERAL generate_series(1, p.count) AS n
    GROUP BY 1, 2, 3
)
INSERT INTO position_snapshots (broker, account_id, captured_at, position_count, positions, source)
SELECT s.broker, s.account_id, date_trunc('minute', now()) - make_interval(mins => m), s.count, s.positions, 'ENGINE'
FROM generate_series(0, %(minutes)s) AS m
JOIN shape s ON s.count = CASE WHEN m < 3 THEN 500 ELSE 10 END
"""
VALUES: LiteralString = """
INSERT INTO account_snapshots (broker, account_id, captured_at, net_liquidation, total_cash_value, currency)
SELECT a.broker, a.account_id, date_trunc('minute', now()) - make_interval(mins => m), 100000 + m, 5000, 'USD'
FROM generate_series(0, %(minutes)s) AS m CROSS JOIN (VALUES ('FUTU', '1001'), ('IB', 'U1')) AS a (broker, account_id)
"""
RISKS: LiteralString = """
INSERT INTO risk_snapshots (scope, captured_at, metrics)
SELECT 'PORTFOLIO', date_trunc('minute', now()) - make_interval(mins => m), '{"gross_exposure": 1.25, "drawdown": -0.1}'
FROM generate_series(0, %(minutes)s) AS m
"""


SIGNALS: LiteralString = """
INSERT INTO trade_signals (source, symbol, status, created_at)
SELECT 's' || n %% 50, 'US.S' || n %% 500, CASE WHEN n %% 1000 = 0 THEN 'PENDING' ELSE 'EXECUTED' END,
       now() - make_interval(secs => n)
FROM generate_series(1, %(rows)s) AS n
"""
EVENTS: LiteralString = """
INSERT INTO system_events (event_type, severity, message, occurred_at)
SELECT 'T', CASE WHEN n %% 100 = 0 THEN 'ERROR' ELSE 'INFO' END, 'm', now() - make_interval(secs => n)
FROM generate_series(1, %(rows)s) AS n
"""


def tables(server_url: str) -> str:
    """The measures as Markdown."""
    url = sibling_database(server_url, "bench_live")
    ensure_database(url)
    with Database(url) as db:
        MigrationRunner(db, PROJECT_DIR / "migrations").run()
        seconds = _filled(db)
        lines = [_line(*told) for told in (*_state(url), *_snapshots(db), *_queries(db))]
        rates = [f"| {what} | {rate:,.0f} |" for what, rate in _rates(db)]
    head = ["| call | p50 ms | p95 ms | goal ms |", "|---|---:|---:|---:|"]
    rated = ["", "| rows | per second |", "|---|---:|", *rates]
    return "\n".join([f"A year of minutes was written in {seconds:.0f} s.", "", *head, *lines, *rated])


def main(arguments: list[str]) -> None:
    """Print the tables, on the server whose URL is told or on one of its own."""
    if arguments:
        print(tables(arguments[0]))
        return
    with tempfile.TemporaryDirectory(prefix="apex-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)
        with EmbeddedServer(home) as server:
            print(tables(server.url("postgres")))


def _filled(db: Database) -> float:
    started = time.monotonic()
    for text in (YEAR, VALUES, RISKS):
        db.execute(text, minutes=MINUTES)
    with db.autocommit() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return time.monotonic() - started


def _state(url: str) -> Iterator[tuple[str, list[float], str]]:
    with DatabaseStateManager(url) as state, DatabaseStateManager(url) as other:
        row = PortfolioPosition("p", "GOLD", entry_price=Decimal(71000), lots=Decimal(2))
        stored = [state.save_position(replace(row, position_id=f"p{n}")) for n in range(100)]

        def save(number: int) -> None:
            place = number % 100
            stored[place] = state.save_position(replace(stored[place], current_stop=Decimal(number)))

        yield "save_position", _timed(save), "5"
        yield "get_position, remembered", _timed(lambda n: state.get_position(f"p{n % 100}")), "0.05"
        yield "get_position, fresh", _timed(lambda n: state.get_position(f"p{n % 100}", fresh=True)), "2"
        yield "get_all_open_positions (100)", _timed(lambda _: state.get_all_open_positions(), 200), ""
        yield "log_signal, new", _timed(lambda n: state.log_signal(f"s{n}", "PYRAMID")), "5"
        yield "check_duplicate_signal", _timed(lambda n: state.check_duplicate_signal(f"s{n}")), "2"
        yield "another's commit is seen after", list(_seen(state, other)), "100"


def _seen(state: DatabaseStateManager, other: DatabaseStateManager) -> Iterator[float]:
    """Milliseconds from another manager's commit until this one reads it."""
    row = other.get_position("p0", fresh=True)
    assert row is not None
    for number in range(300):
        state.get_position("p0")
        row = other.save_position(replace(row, current_stop=Decimal(number)))
        committed = time.perf_counter()
        while state.get_position("p0") != row:
            time.sleep(0)
        yield (time.perf_counter() - committed) * 1000


def _snapshots(db: Database) -> Iterator[tuple[str, list[float], str]]:
    positions, values, risks = PositionSnapshotRepository(db), AccountSnapshotRepository(db), RiskSnapshotRepository(db)
    newest = positions.get_latest(*ACCOUNTS[0])
    assert newest is not None
    assert newest.position_count == POSITIONS
    ago, hour = datetime.now(UTC) - timedelta(days=100), timedelta(hours=1)
    futu, ib = ACCOUNTS
    yield "latest snapshot of 500 positions", _timed(lambda _: positions.get_latest(*futu), 300), "10"
    yield "snapshot at an instant", _timed(lambda n: positions.get_at(*ib, ago - n * hour), 300), "10"
    yield "latest account snapshot", _timed(lambda _: values.get_latest(*futu), 300), "10"
    yield "latest risk snapshot", _timed(lambda _: risks.get_latest(), 300), "10"
    yield "an hour of account snapshots", _timed(lambda _: values.get_by_time_range(*futu, ago, ago + hour), 300), "10"

    brokers = [{"name": broker, "account_id": account} for broker, account in ACCOUNTS]
    service = WarmStartService(db, max_age_seconds=86_400)
    result = service.warm_start(brokers)
    assert result.success, result.error
    yield "warm start, 2 accounts x 500 positions", _timed(lambda _: service.warm_start(brokers), 50), "300"

    def store(number: int) -> None:
        positions.insert(replace(newest, captured_at=newest.captured_at + timedelta(seconds=number + 1)))

    yield "a snapshot of 500 positions is stored", _timed(store, 100), ""


def _queries(db: Database) -> Iterator[tuple[str, list[float], str]]:
    signals, events = TradeSignalRepository(db), SystemEventRepository(db)
    db.execute(SIGNALS, rows=BARS)
    db.execute(EVENTS, rows=BARS)
    db.execute("ANALYZE trade_signals, system_events")
    yield "pending signals of 100,000", _timed(lambda _: signals.find_pending(100), 200), "10"
    yield "signals of a source", _timed(lambda n: signals.find_by_source(f"s{n % 50}", 100), 200), "10"
    yield "recent errors of 100,000 events", _timed(lambda _: events.get_recent_events("ERROR", 100), 200), "10"


def _rates(db: Database) -> Iterator[tuple[str, float]]:
    bars = OHLCVRepository(db)
    begin = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
    rows = [_bar(n, begin) for n in range(BARS)]
    yield "bars, new", len(rows) / _seconds(lambda: bars.upsert_many(rows))
    yield "bars, told again", len(rows) / _seconds(lambda: bars.upsert_many(rows))
    with DatabaseStateManager(db) as state:

        def save_all() -> None:
            with state.transaction():
                for n in range(2000):
                    state.save_position(PortfolioPosition(f"batch{n}", "GOLD", entry_price=Decimal(n)))

        yield "positions saved in one transaction", 2000 / _seconds(save_all)


def _bar(number: int, begin: datetime) -> Bar:
    price = Decimal(100 + number % 50)
    return Bar(
        f"US.S{number // 20_000}", "1m", begin + timedelta(minutes=number % 20_000), "US", price, price + 1, price - 1,
        price, Decimal(number), BarSession.REGULAR, Adjustment.NONE, "BENCH",
    )  # fmt: skip


def _timed(call: Callable[[int], Any], calls: int = CALLS) -> list[float]:
    """Milliseconds of each call, after a few that do not count."""
    for number in range(5):
        call(number)
    times: list[float] = []
    for number in range(5, calls + 5):
        started = time.perf_counter()
        call(number)
        times.append((time.perf_counter() - started) * 1000)
    return times


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _line(what: str, times: list[float], goal: str) -> str:
    marks = quantiles(times, n=20)
    return f"| {what} | {marks[9]:.3f} | {marks[18]:.3f} | {goal} |"
