SELECT DISTINCT day::date AS day
FROM load_coverage c CROSS JOIN LATERAL generate_series(c.from_date, c.to_date, interval '1 day') AS day
WHERE c.broker = %(broker)s AND c.account_id = %(account_id)s AND c.data_type = %(data_type)s
