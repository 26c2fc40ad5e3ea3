-- Fees paid, and what was paid in or out (securities too), after a day, by day and currency.
SELECT c.account_id, c.booked_on, c.currency, c.kind = 'FEE' AS is_fee,
       sum(CASE c.kind WHEN 'FEE' THEN -c.amount ELSE c.amount END) AS amount
FROM unnest(%(accounts)s::text[], %(after)s::date[]) AS due (account_id, after_day)
JOIN cash_ledger c ON c.account_id = due.account_id AND c.settle_date > due.after_day AND c.booked_on > due.after_day
WHERE c.kind IN ('FEE', 'DEPOSIT', 'WITHDRAWAL', 'TRANSFER') AND c.settle_date > %(first_day)s
GROUP BY 1, 2, 3, 4
UNION ALL
SELECT t.account_id, t.business_date, t.currency, false,
       CASE WHEN bool_and(t.position_amount IS NOT NULL) THEN sum(t.position_amount) END
FROM unnest(%(accounts)s::text[], %(after)s::date[]) AS due (account_id, after_day)
JOIN transfers t ON t.account_id = due.account_id AND t.business_date > due.after_day
WHERE t.qty <> 0 AND t.symbol IS NOT NULL
GROUP BY 1, 2, 3
