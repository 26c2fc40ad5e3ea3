SELECT broker, account_id, data_type, market, status, records, last_record_at, last_sync_at,
       round(extract(epoch FROM clock_timestamp() - last_sync_at), 3) AS age_seconds
FROM sync_state ORDER BY 1, 2, 3, 4
