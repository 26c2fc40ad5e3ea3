SELECT NULL::text AS broker, NULL::text AS account_id, (created_at AT TIME ZONE 'UTC')::date AS business_date,
       count(DISTINCT (source, signal_key)) AS subjects
FROM trade_signals
WHERE signal_key IS NOT NULL AND created_at >= %(from_date)s::date AND created_at < %(to_date)s::date + 1
GROUP BY 3
