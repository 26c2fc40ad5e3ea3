-- Accounts that were loaded, or captured from their broker.
SELECT account_id FROM load_coverage
UNION SELECT account_id FROM raw_records
UNION SELECT account_id FROM latest_position_snapshots WHERE source = broker
ORDER BY 1
