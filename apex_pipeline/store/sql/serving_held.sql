-- Who knows what each account holds now: the newest of its snapshot, the book and the ledger, and how much that is.
-- The ledger knows a day to its end, but no later than its broker was asked.
WITH ledger AS (
    SELECT s.account_id, max(s.broker) AS broker, max(s.last_sync_at) AS told_at FROM sync_state s GROUP BY 1
), told AS (
    SELECT p.broker, p.account_id, 'SNAPSHOT' AS kind, p.source, p.captured_at AS as_of, NULL::date AS on_date,
           (SELECT count(*) FROM jsonb_array_elements(p.positions) AS t
            WHERE (t ->> 'asset_class' IN ('FX', 'COMBO')) IS NOT TRUE
              AND (t -> 'qty' IN ('0', '"0"')) IS NOT TRUE) AS positions
    FROM latest_position_snapshots p
    UNION ALL
    SELECT max(b.broker), b.account_id, 'BOOK', max(b.source), max(b.synced_at), NULL,
           count(*) FILTER (WHERE b.status = 'OPEN')
    FROM positions b GROUP BY b.account_id
    UNION ALL
    SELECT day.broker, day.account_id, 'LEDGER', 'LEDGER', least(day.as_of, l.told_at, clock_timestamp()),
           day.business_date,
           (SELECT count(*) FROM positions_daily d
            WHERE d.business_date = day.business_date AND d.account_id = day.account_id)
    FROM ledger l
    CROSS JOIN LATERAL (SELECT m.broker, m.account_id, m.as_of, m.business_date FROM performance_metrics m
                        WHERE m.account_id = l.account_id AND m.period = 'DAY' AND m.scope = 'ACCOUNT'
                        ORDER BY m.as_of DESC LIMIT 1) AS day
)
SELECT DISTINCT ON (broker, account_id) broker, account_id, kind, source, as_of,
       round(extract(epoch FROM clock_timestamp() - as_of), 3) AS age_seconds, on_date, positions
FROM told
WHERE account_id = coalesce(%(account)s, account_id) AND broker = coalesce(%(broker)s, broker)
ORDER BY broker, account_id, as_of DESC, kind DESC
