"""What a live engine would have kept of a year: bars of what was traded, signals, and snapshots of the positions."""

from datetime import date

from apex_pipeline.store.db import Database
from tests.store.rows import query

_DAILY = """
INSERT INTO ohlcv (symbol, timeframe, opened_at, open, high, low, close, volume, source)
SELECT symbol, '1d', d.opens_at, 100, 101, 99, 100, 1000, 'VENDOR'
FROM market_days d CROSS JOIN (VALUES ('US.SPY'), ('US.AAPL')) AS traded (symbol)
WHERE d.calendar = 'XNYS' AND d.is_session AND d.on_date BETWEEN %s AND %s
"""
_MINUTES = """
WITH chosen AS (
    SELECT DISTINCT ON (symbol) symbol, trade_date FROM trades_norm
    WHERE effective AND kind = 'TRADE' AND asset_class = 'STOCK' AND symbol LIKE 'US.%%' ORDER BY symbol, trade_date
), span AS (
    SELECT c.symbol, c.trade_date, min(t.price) AS low, max(t.price) AS high
    FROM chosen c JOIN trades_norm t USING (symbol, trade_date) GROUP BY 1, 2
)
INSERT INTO ohlcv (symbol, timeframe, opened_at, open, high, low, close, volume, source)
SELECT s.symbol, '1m', minute, s.low, s.high, s.low, s.high, 10, 'VENDOR'
FROM span s JOIN market_days d ON d.calendar = 'XNYS' AND d.on_date = s.trade_date AND d.is_session
CROSS JOIN LATERAL generate_series(d.opens_at, d.closes_at - interval '1 minute', interval '1 minute') AS minute
"""
_SIGNALS = """
INSERT INTO trade_signals (signal_uid, source, signal_key, symbol, side, strength, payload, status, created_at)
SELECT 'S_' || order_uid, 'engine', order_uid, symbol, side, 0.5, '{}', 'EXECUTED', created_at FROM orders_norm
WHERE side IS NOT NULL AND created_at IS NOT NULL ORDER BY order_uid LIMIT 20
"""
_SNAPSHOTS = """
WITH captures AS (
    SELECT DISTINCT m.broker, m.account_id, at FROM position_movements m
    CROSS JOIN LATERAL unnest(ARRAY[%s::date, %s::date, %s::date]::timestamptz[]) AS at
), held AS (
    SELECT c.broker, c.account_id, c.at, m.instrument_id, max(m.symbol) AS symbol, max(m.asset_class) AS asset_class,
           sum(m.qty) AS qty, count(*) AS movements
    FROM captures c JOIN position_movements m USING (broker, account_id)
    WHERE coalesce(m.moved_at, m.ordered_at) <= c.at
    GROUP BY 1, 2, 3, 4
)
INSERT INTO position_snapshots
SELECT broker, account_id, at, count(*) FILTER (WHERE qty <> 0),
       coalesce(jsonb_agg(jsonb_build_object('symbol', symbol, 'instrument_id', instrument_id, 'qty', qty::text,
                                             'asset_class', asset_class)) FILTER (WHERE qty <> 0), '[]'),
       'LEDGER', at, sum(movements)
FROM held GROUP BY 1, 2, 3
"""


def lived(db: Database, start: date, middle: date, end: date) -> None:
    """Store all of it, as of a year from `start` to `end`."""
    query(db.url, _DAILY, start, end)
    query(db.url, _MINUTES)
    query(db.url, _SIGNALS)
    query(db.url, _SNAPSHOTS, start.replace(day=28), middle, end)
