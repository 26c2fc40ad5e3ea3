SELECT trade_date AS day, count(DISTINCT symbol) AS rows FROM trades_norm
WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s GROUP BY 1
