SELECT broker, account_id, trade_date AS business_date, count(*) AS subjects FROM trades_norm
WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s AND effective GROUP BY 1, 2, 3
