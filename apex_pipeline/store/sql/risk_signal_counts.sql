SELECT signal_type, count(*) AS signals FROM risk_signals
WHERE raised_at >= coalesce(%(since)s::timestamptz, '-infinity')
GROUP BY 1 ORDER BY 1
