SELECT trade_date AS business_date, count(*) AS subjects FROM orders_norm
WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s GROUP BY 1
