-- Accounts that have strategies, or had some when their chains were told.
SELECT DISTINCT o.broker, m.account_id FROM order_strategy_map m JOIN orders_norm o USING (order_uid)
UNION SELECT broker, account_id FROM told_families
ORDER BY 1, 2
