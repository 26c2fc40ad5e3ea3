SELECT * FROM risk_signals
WHERE level = 'BREACH' AND raised_at >= coalesce(%(since)s::timestamptz, '-infinity')
ORDER BY (resolved_at IS NOT NULL), raised_at DESC, signal_uid LIMIT %(most)s
