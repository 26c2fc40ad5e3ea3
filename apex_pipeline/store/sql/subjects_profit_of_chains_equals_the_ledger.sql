SELECT broker, account_id, closed_on AS business_date, count(DISTINCT currency) AS subjects FROM realized_pnl
WHERE closed_on BETWEEN %(from_date)s AND %(to_date)s
GROUP BY 1, 2, 3
