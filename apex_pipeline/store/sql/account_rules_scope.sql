-- The broker of an account and its known days; no row when nothing of it was ever loaded.
SELECT broker, min(first_day) AS first_day, max(last_day) AS last_day FROM (
    SELECT broker, from_date AS first_day, to_date AS last_day FROM load_coverage WHERE account_id = %(account_id)s
    UNION ALL SELECT broker, trade_date, trade_date FROM trades_norm WHERE account_id = %(account_id)s
) AS known
GROUP BY 1
