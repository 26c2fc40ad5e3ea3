-- The newest snapshot of every account, by steps over the key, so that it does not grow with the number of snapshots.
WITH RECURSIVE newest AS (
    (SELECT s.broker, s.account_id FROM position_snapshots s ORDER BY s.broker, s.account_id LIMIT 1)
    UNION ALL
    SELECT next.broker, next.account_id
    FROM newest n CROSS JOIN LATERAL (
        SELECT s.broker, s.account_id FROM position_snapshots s WHERE (s.broker, s.account_id) > (n.broker, n.account_id)
        ORDER BY s.broker, s.account_id LIMIT 1
    ) AS next
)
SELECT n.broker, n.account_id, s.position_count, s.captured_at
FROM newest n CROSS JOIN LATERAL (
    SELECT s.* FROM position_snapshots s WHERE s.broker = n.broker AND s.account_id = n.account_id
    ORDER BY s.captured_at DESC LIMIT 1
) AS s
ORDER BY n.broker, n.account_id
