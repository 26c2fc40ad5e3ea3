-- The newest snapshot of every scope, by steps over the key.
WITH RECURSIVE newest AS (
    (SELECT s.scope FROM risk_snapshots s ORDER BY s.scope LIMIT 1)
    UNION ALL
    SELECT next.scope
    FROM newest n CROSS JOIN LATERAL (
        SELECT s.scope FROM risk_snapshots s WHERE s.scope > n.scope ORDER BY s.scope LIMIT 1
    ) AS next
)
SELECT n.scope, s.captured_at
FROM newest n CROSS JOIN LATERAL (
    SELECT s.captured_at FROM risk_snapshots s WHERE s.scope = n.scope ORDER BY s.captured_at DESC LIMIT 1
) AS s
ORDER BY n.scope
