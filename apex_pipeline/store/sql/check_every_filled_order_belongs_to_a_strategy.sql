-- S01. What was filled of every order is spread over strategies, all of it and no more.
WITH filled AS (
    SELECT o.order_uid, o.broker, o.account_id, o.trade_date, coalesce(o.filled_qty, o.qty) AS qty
    FROM orders_norm o
    WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s AND (o.filled_qty > 0 OR o.status = 'FILLED')
), named AS (
    SELECT m.order_uid, sum(m.qty_in_strategy) AS qty, jsonb_agg(m.strategy_uid ORDER BY m.strategy_uid) AS strategies
    FROM order_strategy_map m WHERE m.order_uid IN (SELECT order_uid FROM filled) GROUP BY 1
)
SELECT f.broker, f.account_id, f.order_uid AS subject, f.trade_date AS business_date, trim_scale(f.qty) AS expected,
       trim_scale(coalesce(n.qty, 0)) AS actual, 'ERROR' AS severity,
       CASE WHEN n.order_uid IS NULL THEN 'MISSING_B' END AS cause,
       jsonb_build_object('strategy_uids', coalesce(n.strategies, '[]'::jsonb)) AS evidence
FROM filled f LEFT JOIN named n USING (order_uid)
WHERE coalesce(n.qty, 0) <> f.qty
ORDER BY 3
