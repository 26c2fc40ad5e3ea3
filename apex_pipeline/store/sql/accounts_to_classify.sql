SELECT account_id FROM orders_norm WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s
UNION SELECT account_id FROM dirty_days WHERE stage = 'classify'
ORDER BY 1
