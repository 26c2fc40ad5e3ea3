-- The states of cash of accounts after a day each, and by currency the last one up to that day.
SELECT s.account_id, s.currency, s.as_of, s.total_cash
FROM unnest(%(accounts)s::text[], %(after)s::date[]) AS due (account_id, after_day)
JOIN cash_account_state s ON s.account_id = due.account_id
WHERE s.as_of > due.after_day OR s.as_of = (
    SELECT max(l.as_of) FROM cash_account_state l
    WHERE l.account_id = s.account_id AND l.currency = s.currency AND l.as_of <= due.after_day
)
ORDER BY 1, 2, 3
