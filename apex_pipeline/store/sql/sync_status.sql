SELECT broker, account_id, data_type, market, last_sync_at, last_record_at, status, records FROM sync_state
ORDER BY 1, 2, 3, 4
