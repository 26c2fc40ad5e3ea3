SELECT closed_on AS business_date, count(DISTINCT (account_id, currency)) AS subjects FROM realized_pnl
WHERE closed_on BETWEEN %(from_date)s AND %(to_date)s
GROUP BY 1
