-- What each account is worth as last known: by its newest snapshot, and by the newest day of the ledger with the day
-- before it. A day is known to its end, but no later than its broker was asked.
WITH told AS (
    SELECT account_id, max(broker) AS broker, max(last_sync_at) AS told_at FROM sync_state GROUP BY 1
), accounts AS (
    SELECT account_id, broker, told_at FROM told
    UNION ALL
    SELECT s.account_id, s.broker, NULL FROM latest_account_snapshots s
    WHERE s.account_id NOT IN (SELECT t.account_id FROM told t)
    UNION
    SELECT p.account_id, p.broker, NULL FROM latest_position_snapshots p
    WHERE p.account_id NOT IN (SELECT t.account_id FROM told t)
)
SELECT a.broker, a.account_id,
       shot.captured_at AS shot_at, shot.currency AS shot_currency, shot.net_liquidation AS shot_value,
       shot.total_cash_value AS shot_cash,
       least(day.as_of, a.told_at, clock_timestamp()) AS day_at, day.business_date, day.currency AS day_currency,
       day.net_liquidation AS day_value, day.cash AS day_cash, day.source AS day_source, day.net_flow,
       before.net_liquidation AS value_before, before.currency AS currency_before
FROM accounts a
LEFT JOIN latest_account_snapshots shot ON shot.account_id = a.account_id AND shot.broker = a.broker
LEFT JOIN LATERAL (SELECT m.* FROM performance_metrics m
                   WHERE m.account_id = a.account_id AND m.period = 'DAY' AND m.scope = 'ACCOUNT'
                   ORDER BY m.as_of DESC LIMIT 1) AS day ON true
LEFT JOIN LATERAL (SELECT m.net_liquidation, m.currency FROM performance_metrics m
                   WHERE m.account_id = a.account_id AND m.period = 'DAY' AND m.scope = 'ACCOUNT'
                     AND m.as_of < day.as_of
                   ORDER BY m.as_of DESC LIMIT 1) AS before ON true
WHERE a.account_id = coalesce(%(account)s, a.account_id) AND a.broker = coalesce(%(broker)s, a.broker)
ORDER BY a.broker, a.account_id
