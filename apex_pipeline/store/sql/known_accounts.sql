SELECT DISTINCT broker, account_id FROM load_coverage UNION SELECT broker, account_id FROM raw_records
