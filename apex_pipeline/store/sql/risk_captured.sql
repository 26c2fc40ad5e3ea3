-- The newest snapshot of every account, with the positions that were captured within a quarter of an hour of it.
WITH RECURSIVE accounts AS (
    (SELECT broker, account_id FROM account_snapshots ORDER BY broker, account_id LIMIT 1)
    UNION ALL
    SELECT next.broker, next.account_id
    FROM accounts a CROSS JOIN LATERAL (
        SELECT s.broker, s.account_id FROM account_snapshots s WHERE (s.broker, s.account_id) > (a.broker, a.account_id)
        ORDER BY s.broker, s.account_id LIMIT 1
    ) AS next
)
SELECT s.broker, s.account_id, s.captured_at, s.net_liquidation, s.total_cash_value, s.currency,
       p.captured_at AS positions_at
FROM accounts a
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
