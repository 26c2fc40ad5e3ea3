SELECT broker, account_id, trade_date AS business_date, count(*) AS subjects FROM orders_norm
WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s AND (filled_qty > 0 OR status = 'FILLED') GROUP BY 1, 2, 3
