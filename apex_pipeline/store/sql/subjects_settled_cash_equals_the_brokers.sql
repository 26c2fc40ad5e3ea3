-- Cash by currency at the ends of reports that tell what of it is settled, where the whole agrees with ours.
SELECT r.broker, r.account_id, r.to_date AS business_date, count(DISTINCT r.currency) AS subjects
FROM (SELECT broker, account_id, currency, from_date, to_date, sum((figures ->> 'endingCash')::numeric) AS ending
      FROM broker_figures
      WHERE business_date BETWEEN %(from_date)s::date - 7 AND %(to_date)s::date + 7 AND section = 'CashReport'
        AND to_date BETWEEN %(from_date)s AND %(to_date)s AND currency <> 'BASE_SUMMARY'
        AND figures ?& ARRAY['endingCash', 'endingSettledCash']
      GROUP BY 1, 2, 3, 4, 5) AS r
CROSS JOIN LATERAL (
    SELECT c.total_cash, c.settled_cash FROM cash_account_state c
    WHERE c.account_id = r.account_id AND c.currency = r.currency AND c.as_of <= r.to_date
    ORDER BY c.as_of DESC LIMIT 1
) AS s
WHERE s.settled_cash IS NOT NULL AND abs(s.total_cash - r.ending) <= 0.01
  AND NOT EXISTS (SELECT FROM cash_ledger o
                  WHERE o.entry_uid = r.account_id || ':' || r.currency || ':OPENING' AND o.booked_on > r.to_date - 10)
GROUP BY 1, 2, 3
