SELECT (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS rows FROM trade_signals
WHERE created_at >= %(from_date)s::date AND created_at < %(to_date)s::date + 1 GROUP BY 1
