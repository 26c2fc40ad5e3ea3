-- Until when the brokers of these accounts have told their trades: the account that was told longest ago.
SELECT min(told_at) AS as_of, round(extract(epoch FROM clock_timestamp() - min(told_at)), 3) AS age_seconds
FROM (SELECT max(last_sync_at) AS told_at FROM sync_state
      WHERE account_id = coalesce(%(account)s, account_id) AND broker = coalesce(%(broker)s, broker)
      GROUP BY broker, account_id) AS told
