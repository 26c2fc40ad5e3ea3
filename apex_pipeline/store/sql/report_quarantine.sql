SELECT broker, kind, account_id, broker_key, business_date, reason_code, reason, first_seen_at
FROM quarantine WHERE resolved_at IS NULL ORDER BY first_seen_at DESC, quarantine_uid
