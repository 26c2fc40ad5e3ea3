-- By steps over the accounts, each with the two ends of its index. Days of exchanges overlap: an instant of the first day
-- may be later than one of the next. An account is of one broker.
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
SELECT (SELECT broker FROM orders_norm WHERE account_id = a.account_id LIMIT 1) AS broker, a.account_id,
       'orders' AS data_type, first.at AS first_at, last.at AS last_at
FROM ordering a
CROSS JOIN LATERAL (SELECT min(trade_date) AS first_on, max(trade_date) AS last_on FROM orders_norm WHERE account_id = a.account_id) AS ends
CROSS JOIN LATERAL (
    SELECT min(created_at) AS at FROM orders_norm WHERE account_id = a.account_id AND trade_date <= ends.first_on + 1) AS first
CROSS JOIN LATERAL (
    SELECT max(created_at) AS at FROM orders_norm WHERE account_id = a.account_id AND trade_date >= ends.last_on - 1) AS last
WHERE first.at IS NOT NULL
UNION ALL
SELECT (SELECT broker FROM trades_norm WHERE account_id = a.account_id LIMIT 1) AS broker, a.account_id,
       'trades' AS data_type, first.at AS first_at, last.at AS last_at
FROM trading a
CROSS JOIN LATERAL (SELECT min(trade_date) AS first_on, max(trade_date) AS last_on FROM trades_norm WHERE account_id = a.account_id) AS ends
CROSS JOIN LATERAL (
    SELECT min(executed_at) AS at FROM trades_norm WHERE account_id = a.account_id AND trade_date <= ends.first_on + 1) AS first
CROSS JOIN LATERAL (
    SELECT max(executed_at) AS at FROM trades_norm WHERE account_id = a.account_id AND trade_date >= ends.last_on - 1) AS last
WHERE first.at IS NOT NULL
UNION ALL
SELECT (SELECT broker FROM fees_norm WHERE account_id = a.account_id LIMIT 1), a.account_id, 'fees',
       ends.first_on::timestamp AT TIME ZONE 'UTC', ends.last_on::timestamp AT TIME ZONE 'UTC'
FROM paying a
CROSS JOIN LATERAL (
    SELECT min(charged_on) AS first_on, max(charged_on) AS last_on FROM fees_norm WHERE account_id = a.account_id) AS ends
ORDER BY 1, 2, 3
