SELECT c.broker, c.account_id, day::date AS business_date, count(DISTINCT c.data_type) AS subjects
FROM generate_series(%(from_date)s::date, %(to_date)s::date, interval '1 day') AS day
JOIN load_coverage c ON day::date BETWEEN c.from_date AND c.to_date
GROUP BY 1, 2, 3
