SELECT o.broker, o.account_id, m.trade_date AS business_date, count(*) AS subjects FROM order_strategy_map m JOIN orders_norm o USING (order_uid)
WHERE m.trade_date BETWEEN %(from_date)s AND %(to_date)s AND o.declared_strategy IS NOT NULL AND m.action IN ('OPEN', 'CLOSE')
GROUP BY 1, 2, 3
