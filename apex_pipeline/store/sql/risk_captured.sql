-- The newest snapshot of every account, with the positions that were captured within a quarter of an hour of it.
SELECT s.broker, s.account_id, s.captured_at, s.net_liquidation, s.total_cash_value, s.currency,
       p.captured_at AS positions_at
FROM latest_account_snapshots a
CROSS JOIN LATERAL (
    SELECT * FROM account_snapshots n
    WHERE n.broker = a.broker AND n.account_id = a.account_id AND n.net_liquidation IS NOT NULL
      AND n.captured_at <= %(now)s
    ORDER BY n.captured_at DESC LIMIT 1
) AS s
CROSS JOIN LATERAL (
    SELECT n.captured_at FROM position_snapshots n
    WHERE n.broker = s.broker AND n.account_id = s.account_id AND n.captured_at <= %(now)s
      AND n.captured_at BETWEEN s.captured_at - interval '15 minutes' AND s.captured_at + interval '15 minutes'
    ORDER BY n.captured_at DESC LIMIT 1
) AS p
ORDER BY s.account_id
