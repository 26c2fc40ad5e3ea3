"""Rows as loads and engines leave them, and a server over them on a real socket."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import simplejson

from apex_pipeline import settings
from apex_pipeline.serving import server
from apex_pipeline.serving.answers import Answers
from apex_pipeline.serving.application import Application
from apex_pipeline.settings import PROJECT_DIR, Settings
from apex_pipeline.store.db import Database
from apex_pipeline.store.migrate import MigrationRunner
from apex_pipeline.store.repositories.last_known import LastKnown
from apex_pipeline.store.repositories.status import StatusRepository
from tests.store.rows import query

THREADS = 4

DAYS = """
INSERT INTO performance_metrics (account_id, period, as_of, scope, scope_id, broker, business_date, currency,
                                 net_liquidation, cash, net_flow, win_rate, total_trades, source)
SELECT a.account_id, 'DAY', d.day + interval '23 hours', s.scope, s.id, a.broker, d.day, a.currency,
       1000 + extract(doy FROM d.day), 100.10, 0, 0.5, 2, 'BROKER'
FROM (VALUES ('IB', 'U1', 'USD'), ('FUTU', 'F1', 'HKD')) AS a (broker, account_id, currency)
CROSS JOIN generate_series(date '2025-05-01', date '2026-04-30', interval '1 day') AS g (at)
CROSS JOIN LATERAL (SELECT g.at::date AS day) AS d
CROSS JOIN (VALUES ('ACCOUNT', ''), ('UNDERLYING', 'US.AAPL'), ('UNDERLYING', 'US.MSFT')) AS s (scope, id)
"""
HELD = """
INSERT INTO positions_daily (business_date, broker, account_id, instrument_id, symbol, asset_class, qty, avg_cost,
                             mark_price, market_value, currency)
SELECT d::date, a.broker, a.account_id, 'I' || n, 'US.S' || lpad(n::text, 3, '0'), 'STOCK', n, 1.10, 2, 2 * n, 'USD'
FROM (VALUES ('IB', 'U1', 40), ('FUTU', 'F1', 20)) AS a (broker, account_id, held)
CROSS JOIN LATERAL generate_series(1, a.held) AS n
CROSS JOIN generate_series(date '2026-04-01', date '2026-04-30', interval '1 day') AS d
"""
TOLD = """
INSERT INTO sync_state VALUES ('IB', 'U1', 'ib_flex', 'ALL', '2026-04-30T22:00Z', '2026-04-30T20:00Z', 'COMPLETE', 9),
    ('FUTU', 'F1', 'futu_deals', 'ALL', '2026-05-01T09:00Z', NULL, 'COMPLETE', 7)
"""
TRIPS = """
INSERT INTO round_trips (trade_id, broker, account_id, symbol, side, quantity, entry_price, exit_price, entry_at,
                         exit_at, entry_date, exit_date, realized_pnl, fees, currency, status, source)
SELECT format('T%%s', lpad(n::text, 6, '0')), CASE WHEN n %% 2 = 0 THEN 'IB' ELSE 'FUTU' END,
       CASE WHEN n %% 2 = 0 THEN 'U1' ELSE 'F1' END, 'US.S' || n %% 50, 'BUY', 10, 1.5, 1.75,
       at - interval '1 hour', at, at::date, at::date, CASE WHEN n %% 3 = 0 THEN -2.5 ELSE 2.5 END, 0.10, 'USD',
       'CLOSED', 'LEDGER'
FROM generate_series(1, %s) AS n
CROSS JOIN LATERAL (SELECT timestamptz '2026-04-30T20:00Z' - n * interval '2 hours' AS at) AS x
"""
FILLS = """
INSERT INTO trades_norm (trade_uid, broker, account_id, broker_trade_id, symbol, asset_class, kind, side, qty, price,
                         currency, executed_at, trade_date, source, effective)
SELECT format('IB_U1_%%s', lpad(n::text, 6, '0')), 'IB', 'U1', n::text, 'US.S' || n %% 50, 'STOCK', 'TRADE', 'BUY', 1,
       10.0100, 'USD', at, at::date, 'FLEX', true
FROM generate_series(1, %s) AS n
CROSS JOIN LATERAL (SELECT timestamptz '2026-04-30T20:00Z' - n * interval '1 hour' AS at) AS x
"""
SHOTS = """
INSERT INTO position_snapshots (broker, account_id, captured_at, position_count, positions, source)
SELECT 'IB', a, at, held, (SELECT jsonb_agg(jsonb_build_object('symbol', 'US.S' || lpad(n::text, 3, '0'), 'qty', n,
    'avg_cost', 10.0100, 'mark_price', 11, 'market_value', 11 * n, 'unrealized_pnl', 0.99 * n, 'currency', 'USD',
    'asset_class', 'STOCK')) FROM generate_series(1, held) AS n), 'ENGINE'
FROM (SELECT a, at, CASE WHEN at > %(last)s::timestamptz - interval '1 hour' THEN %(held)s::int ELSE 1 END AS held
      FROM unnest(%(accounts)s::text[]) AS a
      CROSS JOIN generate_series(%(first)s::timestamptz, %(last)s::timestamptz, %(step)s::interval) AS at) AS x
"""
WORTHS = """
INSERT INTO account_snapshots (broker, account_id, captured_at, net_liquidation, total_cash_value, currency)
SELECT 'IB', a, at, 5000.50, 250.25, 'USD' FROM unnest(%(accounts)s::text[]) AS a
CROSS JOIN generate_series(%(first)s::timestamptz, %(last)s::timestamptz, %(step)s::interval) AS at
"""
RISKS = """
INSERT INTO risk_snapshots (scope, captured_at, metrics)
SELECT 'PORTFOLIO', at, '{"gross_exposure": 1.20}'
FROM generate_series(%(first)s::timestamptz, %(last)s::timestamptz, %(step)s::interval) AS at
"""


def loaded(url: str, trips: int = 60, fills: int = 60) -> None:
    """A year of two accounts, of which the brokers told last on the evening of 2026-04-30."""
    query(url, DAYS)
    query(url, HELD)
    query(url, TOLD)
    query(url, TRIPS, trips)
    query(url, FILLS, fills)


def captured(url: str, first: str, last: str, step: str, held: int = 2, accounts: tuple[str, ...] = ("U1",)) -> None:
    """Snapshots of an engine; in the last hour of them it held so many positions, before that one."""
    told: dict[str, Any] = {"first": first, "last": last, "step": step, "held": held, "accounts": list(accounts)}
    with Database(url) as db:
        for text in (SHOTS, WORTHS, RISKS):
            db.execute(text, **told)


def configured(url: str, home: Path) -> Settings:
    """Settings without brokers that could be reached."""
    plain = settings.load(environ={"FUTU_PORT": "1", "IB_FLEX_URL": "http://127.0.0.1:1"}, config_file=home / "no.yaml")
    return replace(plain, home=home, database_url=url)


@contextmanager
def serving(url: str, seconds: float = server.STATEMENT_SECONDS) -> Generator[httpx.Client]:
    """A client of a server over the database at `url`; statements may take so many seconds."""
    with server.listening(0) as listener, Database(url, statement_timeout=seconds, read_only=True) as db:
        port = listener.getsockname()[1]
        migrations = MigrationRunner(db, PROJECT_DIR / "migrations")
        answers = Answers(db, StatusRepository(db, migrations), LastKnown(db).clock())
        application = Application(answers.addresses, port, THREADS)
        program = server.http_server(application)
        thread = Thread(target=program.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
                yield client
        finally:
            program.should_exit = True
            thread.join()
            application.close()


def told(client: httpx.Client, path: str, **parameters: Any) -> dict[str, Any]:
    """What an address tells, its numbers exact."""
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return simplejson.loads(answer.text, use_decimal=True)
