SELECT m.broker, m.account_id, m.booked_on AS business_date, count(DISTINCT m.currency) AS subjects
FROM cash_movements m
WHERE m.broker = 'FUTU' AND m.kind IN ('TRADE', 'FEE') AND m.booked_on BETWEEN %(from_date)s AND %(to_date)s
GROUP BY 1, 2, 3
