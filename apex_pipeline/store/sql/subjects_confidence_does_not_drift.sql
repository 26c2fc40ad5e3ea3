SELECT min(o.broker) AS broker, m.account_id, m.trade_date AS business_date, count(DISTINCT m.strategy_uid) AS subjects
FROM order_strategy_map m LEFT JOIN orders_norm o USING (order_uid)
WHERE m.trade_date BETWEEN %(from_date)s AND %(to_date)s AND m.method <> 'manual'
GROUP BY 2, 3
