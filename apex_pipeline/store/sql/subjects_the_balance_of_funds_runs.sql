SELECT 'IB' AS broker, account_id, business_date, count(*) AS subjects FROM (
    SELECT account_id, business_date FROM broker_funds
    WHERE level = 'Currency' AND from_date IS NOT NULL AND coalesce(amount, 0) = 0 AND balance IS NOT NULL
      AND business_date BETWEEN %(from_date)s AND %(to_date)s
    GROUP BY account_id, currency, from_date, to_date, business_date HAVING count(*) = 2
) AS statement
GROUP BY 1, 2, 3
