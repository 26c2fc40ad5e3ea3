-- The first day of each account that was asked or has changed; the marks are taken away.
WITH taken AS (
    DELETE FROM dirty_days WHERE stage = 'value' RETURNING account_id, business_date
)
SELECT account_id, min(first_day) AS first_day FROM (
    SELECT account_id, business_date AS first_day FROM taken
    UNION ALL SELECT account_id, greatest(from_date, %(from_date)s) FROM load_coverage
    WHERE from_date <= %(to_date)s AND to_date >= %(from_date)s
) AS due
GROUP BY 1 ORDER BY 1
