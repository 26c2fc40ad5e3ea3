-- The uid of a fee holds the key of its record.
SELECT broker, kind, account_id, record_key, order_id, business_date, payload, fetched_at, load_id FROM raw_records
WHERE broker = %(broker)s AND account_id = %(account_id)s AND kind IN ('fees', 'provisional')
  AND record_key IN (SELECT unnest(string_to_array(%(fee_uid)s, '_')))
ORDER BY kind, record_key LIMIT 5
