SELECT data_type, sum(records) / sum(to_date - from_date + 1) AS density FROM load_coverage
WHERE broker = %(broker)s GROUP BY 1
