SELECT as_of, age_seconds, source, row_to_json(found)::text AS row FROM (
SELECT broker, account_id, captured_at AS as_of,
       round(extract(epoch FROM clock_timestamp() - captured_at), 3) AS age_seconds,
       'SNAPSHOT' AS source, currency, net_liquidation, total_cash_value, unrealized_pnl, realized_pnl, margin_used
FROM latest_account_snapshots
WHERE account_id = coalesce(%(account)s, account_id) AND broker = coalesce(%(broker)s, broker)
ORDER BY broker, account_id
) AS found
