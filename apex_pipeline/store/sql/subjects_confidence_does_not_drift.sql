SELECT trade_date AS business_date, count(DISTINCT strategy_uid) AS subjects FROM order_strategy_map
WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s AND method <> 'manual' GROUP BY 1
