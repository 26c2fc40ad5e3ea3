-- The newest margin in use that was told of accounts in the day up to these instants, or later.
SELECT due.account_id, s.captured_at, s.margin_used, s.net_liquidation, s.currency
FROM unnest(%(brokers)s::text[], %(accounts)s::text[], %(instants)s::timestamptz[]) AS due (broker, account_id, as_of)
CROSS JOIN LATERAL (
    SELECT * FROM account_snapshots n
    WHERE n.broker = due.broker AND n.account_id = due.account_id AND n.margin_used IS NOT NULL
      AND n.captured_at > due.as_of - interval '1 day' AND n.captured_at <= %(now)s
    ORDER BY n.captured_at DESC LIMIT 1
) AS s
