-- When each account was last told of each day, by data type and market.
SELECT c.account_id, c.data_type, c.market, day::date AS day, max(c.covered_at) AS told_at
FROM load_coverage c
CROSS JOIN LATERAL generate_series(
    greatest(c.from_date, %(from_date)s::date), least(c.to_date, %(to_date)s::date), interval '1 day'
) AS day
WHERE c.broker = %(broker)s AND c.data_type = ANY (%(data_types)s)
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
