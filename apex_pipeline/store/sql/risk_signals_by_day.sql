SELECT (raised_at AT TIME ZONE 'UTC')::date AS day, count(*) AS rows FROM risk_signals
WHERE raised_at >= %(from_date)s::date AND raised_at < %(to_date)s::date + 1 GROUP BY 1
