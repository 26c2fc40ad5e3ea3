-- What brokers called the combinations of these days, and what those were read as.
SELECT DISTINCT o.declared_strategy AS label, m.strategy_type
FROM order_strategy_map m JOIN orders_norm o USING (order_uid)
WHERE m.trade_date BETWEEN %(from_date)s AND %(to_date)s AND o.declared_strategy IS NOT NULL
ORDER BY 1, 2
