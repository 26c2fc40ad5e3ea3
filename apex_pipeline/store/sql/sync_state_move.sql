INSERT INTO sync_state AS s (broker, account_id, data_type, market, last_sync_at, last_record_at, status, records)
VALUES (%(broker)s, %(account_id)s, %(data_type)s, %(market)s, clock_timestamp(), %(last_record_at)s, 'COMPLETE', %(records)s)
ON CONFLICT (broker, account_id, data_type, market) DO UPDATE
SET last_sync_at = EXCLUDED.last_sync_at, status = EXCLUDED.status, records = EXCLUDED.records,
    last_record_at = greatest(s.last_record_at, EXCLUDED.last_record_at)
