-- The daily rows of accounts before a day, which the growth since goes on from.
SELECT p.* FROM unnest(%(accounts)s::text[], %(dates)s::date[]) AS due (account_id, from_day)
JOIN performance_metrics p ON p.account_id = due.account_id
WHERE p.period = 'DAY' AND p.scope = 'ACCOUNT' AND p.business_date < due.from_day
ORDER BY p.account_id, p.business_date
