INSERT INTO orders_norm (order_uid, broker, account_id, broker_order_id, market, symbol, underlying, asset_class, side, status,
                         qty, filled_qty, created_at, trade_date, source)
SELECT CASE a WHEN 1 THEN 'FUTU_1_' ELSE 'IB_2_' END || n, CASE a WHEN 1 THEN 'FUTU' ELSE 'IB' END, a::text, n::text, 'US',
       'US.U' || n % 500, 'US.U' || n % 500, 'STOCK', 'BUY', (ARRAY['FILLED', 'CANCELLED'])[1 + n % 2], 1, 1,
       timestamptz '2026-01-01Z' + n * interval '1 minute', date '2026-01-01' + n / 1440, 'x'
FROM generate_series(1, %(rows)s) AS n, generate_series(1, 2) AS a;
INSERT INTO trades_norm (trade_uid, order_uid, broker, account_id, broker_trade_id, exec_id, symbol, underlying, asset_class,
                         kind, effective, side, qty, price, executed_at, trade_date, source)
SELECT CASE a WHEN 1 THEN 'FUTU_1_' ELSE 'IB_2_' END || n, CASE a WHEN 1 THEN 'FUTU_1_' ELSE 'IB_2_' END || n,
       CASE a WHEN 1 THEN 'FUTU' ELSE 'IB' END, a::text, n::text, CASE a WHEN 2 THEN 'e.' || n || '.01' END,
       'US.U' || n % 500, 'US.U' || n % 500, (ARRAY['STOCK', 'OPTION'])[1 + n % 2], 'TRADE', true, 'BUY', 1, 1,
       timestamptz '2026-01-01Z' + n * interval '1 minute', date '2026-01-01' + n / 1440, 'x'
FROM generate_series(1, %(rows)s) AS n, generate_series(1, 2) AS a;
INSERT INTO fees_norm (fee_uid, order_uid, trade_uid, broker, account_id, fee_type, broker_fee_name, amount, currency, charged_on)
SELECT CASE a WHEN 1 THEN 'FUTU_1_' ELSE 'IB_2_' END || n, CASE a WHEN 1 THEN 'FUTU_1_' ELSE 'IB_2_' END || n,
       CASE a WHEN 2 THEN 'IB_2_' || n END, CASE a WHEN 1 THEN 'FUTU' ELSE 'IB' END, a::text, 'COMMISSION', 'c', 1, 'USD',
       date '2026-01-01' + n / 1440
FROM generate_series(1, %(rows)s) AS n, generate_series(1, 2) AS a;
INSERT INTO load_runs (broker, from_date, to_date, started_at) VALUES ('IB', '2026-01-01', '2026-01-01', '2026-01-01Z');
INSERT INTO loads (run_id, broker, data_type, market, from_date, to_date, status, started_at, finished_at)
SELECT run_id, 'IB', 'ib_tws', 'ALL', '2026-01-01', '2026-01-01', 'COMPLETE', started_at, started_at FROM load_runs;
INSERT INTO provisional_raw_ib (account_id, record_key, business_date, payload, fetched_at, load_id)
SELECT '2', n::text, '2026-01-01', jsonb_build_object('permId', n::text, '_root', 'e.' || n), '2026-01-01Z', load_id
FROM loads, generate_series(1, %(rows)s) AS n;
INSERT INTO position_snapshots
SELECT 'FUTU', a::text, timestamptz '2026-01-01Z' + n * interval '1 minute', 0, '[]', 'x'
FROM generate_series(1, %(rows)s) AS n, generate_series(1, 2) AS a;
INSERT INTO account_snapshots
SELECT 'FUTU', a::text, timestamptz '2026-01-01Z' + n * interval '1 minute'
FROM generate_series(1, %(rows)s) AS n, generate_series(1, 2) AS a;
INSERT INTO risk_snapshots
SELECT 'PORTFOLIO', timestamptz '2026-01-01Z' + n * interval '1 minute', jsonb_build_object('gross', n)
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO risk_signals (signal_uid, signal_type, level, metric, scope, raised_at, resolved_at)
SELECT n::text, 'T' || n % 50, (ARRAY['WARNING', 'BREACH'])[1 + n % 2], 'gross', 'PORTFOLIO',
       timestamptz '2026-01-01Z' + n * interval '1 minute', CASE WHEN n % 100 > 0 THEN timestamptz '2027-01-01Z' END
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO trade_signals (signal_uid, source, symbol, side, status, created_at)
SELECT n::text, 'S' || n % 50, 'US.U', 'BUY', CASE WHEN n % 100 > 0 THEN 'EXECUTED' ELSE 'PENDING' END,
       timestamptz '2026-01-01Z' + n * interval '1 minute'
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO backtests (backtest_uid, strategy, started_on, ended_on, total_return, sharpe, max_drawdown, created_at)
SELECT n::text, 'S' || n % 500, '2026-01-01', '2026-01-01', n % 1000, n % 777, -(n % 333),
       timestamptz '2026-01-01Z' + n * interval '1 minute'
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO system_events (event_type, severity, message, occurred_at)
SELECT 'x', CASE WHEN n % 500 = 0 THEN 'ERROR' ELSE 'INFO' END, 'x', timestamptz '2026-01-01Z' + n * interval '1 minute'
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO llm_analysis_log (model, prompt, cost, called_at)
SELECT 'M' || n % 50, 'x', 1, timestamptz '2026-01-01Z' + n * interval '1 minute' FROM generate_series(1, %(rows)s) AS n;
INSERT INTO research_records (kind, symbol, source, at, fingerprint)
SELECT (ARRAY['TWEET', 'REDDIT_POST'])[1 + n % 2], 'US.U' || n % 500, 'x', timestamptz '2026-01-01Z' + n * interval '1 minute',
       n::text
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO round_trips (trade_id, account_id, symbol, side, quantity, entry_at, exit_at, entry_date, exit_date, status, source)
SELECT n::text, '1', 'US.U' || n % 500, 'BUY', 1, timestamptz '2026-01-01Z' + n * interval '1 minute',
       timestamptz '2026-01-02Z' + n * interval '1 minute', date '2026-01-01' + n / 1440, date '2026-01-02' + n / 1440, 'CLOSED', 'x'
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO positions (position_id, broker, account_id, symbol, quantity, status, closed_at, synced_at, source)
SELECT n::text, 'IB', (n % 50)::text, 'US.U' || n % 500, 1, CASE WHEN n % 100 < 9 THEN 'OPEN' ELSE 'CLOSED' END,
       timestamptz '2026-01-01Z', timestamptz '2026-01-01Z', 'x'
FROM generate_series(1, %(rows)s) AS n;
