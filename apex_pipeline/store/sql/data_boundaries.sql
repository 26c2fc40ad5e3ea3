-- By steps over the accounts, each with the two ends of its index. Days of exchanges overlap: an instant of the first day
-- may be later than one of the next.
WITH RECURSIVE ordering AS (
    (SELECT account_id FROM orders_norm ORDER BY account_id LIMIT 1)
    UNION ALL
    SELECT next.account_id FROM ordering a CROSS JOIN LATERAL (
        SELECT o.account_id FROM orders_norm o WHERE o.account_id > a.account_id ORDER BY o.account_id LIMIT 1) AS next
), trading AS (
    (SELECT account_id FROM trades_norm ORDER BY account_id LIMIT 1)
    UNION ALL
    SELECT next.account_id FROM trading a CROSS JOIN LATERAL (
        SELECT t.account_id FROM trades_norm t WHERE t.account_id > a.account_id ORDER BY t.account_id LIMIT 1) AS next
), paying AS (
    (SELECT account_id FROM fees_norm ORDER BY account_id LIMIT 1)
    UNION ALL
    SELECT next.account_id FROM paying a CROSS JOIN LATERAL (
        SELECT f.account_id FROM fees_norm f WHERE f.account_id > a.account_id ORDER BY f.account_id LIMIT 1) AS next
)
SELECT told.broker, a.account_id, 'orders' AS data_type, told.first_at, told.last_at
FROM ordering a
CROSS JOIN LATERAL (
    SELECT min(trade_date) AS first_on, max(trade_date) AS last_on FROM orders_norm WHERE account_id = a.account_id
) AS ends
CROSS JOIN LATERAL (
    SELECT o.broker, min(o.created_at) AS first_at, max(o.created_at) AS last_at FROM orders_norm o
    WHERE o.account_id = a.account_id AND (o.trade_date <= ends.first_on + 1 OR o.trade_date >= ends.last_on - 1)
    GROUP BY 1
) AS told
WHERE told.first_at IS NOT NULL
UNION ALL
SELECT told.broker, a.account_id, 'trades', told.first_at, told.last_at
FROM trading a
CROSS JOIN LATERAL (
    SELECT min(trade_date) AS first_on, max(trade_date) AS last_on FROM trades_norm WHERE account_id = a.account_id
) AS ends
CROSS JOIN LATERAL (
    SELECT t.broker, min(t.executed_at) AS first_at, max(t.executed_at) AS last_at FROM trades_norm t
    WHERE t.account_id = a.account_id AND (t.trade_date <= ends.first_on + 1 OR t.trade_date >= ends.last_on - 1)
    GROUP BY 1
) AS told
WHERE told.first_at IS NOT NULL
UNION ALL
SELECT told.broker, a.account_id, 'fees', told.first_on::timestamp AT TIME ZONE 'UTC', told.last_on::timestamp AT TIME ZONE 'UTC'
FROM paying a
CROSS JOIN LATERAL (
    SELECT min(charged_on) AS first_on, max(charged_on) AS last_on FROM fees_norm WHERE account_id = a.account_id
) AS ends
CROSS JOIN LATERAL (
    SELECT f.broker, min(f.charged_on) AS first_on, max(f.charged_on) AS last_on FROM fees_norm f
    WHERE f.account_id = a.account_id AND f.charged_on IN (ends.first_on, ends.last_on)
    GROUP BY 1
) AS told
ORDER BY 1, 2, 3
