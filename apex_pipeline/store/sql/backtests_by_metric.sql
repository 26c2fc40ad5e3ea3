SELECT * FROM backtests
WHERE jsonb_typeof(metrics -> %(metric)s) = 'number'
ORDER BY (metrics ->> %(metric)s)::numeric DESC, backtest_uid LIMIT %(most)s
