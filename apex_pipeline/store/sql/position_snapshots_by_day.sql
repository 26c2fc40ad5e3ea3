SELECT (captured_at AT TIME ZONE 'UTC')::date AS day, count(*) AS rows FROM position_snapshots
WHERE captured_at >= %(from_date)s::date AND captured_at < %(to_date)s::date + 1 GROUP BY 1
