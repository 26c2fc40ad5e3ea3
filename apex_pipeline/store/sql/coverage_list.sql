SELECT account_id, data_type, market, greatest(from_date, %(from_date)s) AS from_date, least(to_date, %(to_date)s) AS to_date
FROM load_coverage
WHERE broker = %(broker)s AND data_type = ANY (%(data_types)s) AND to_date >= %(from_date)s AND from_date <= %(to_date)s
ORDER BY 1, 2, 3, 4
