SELECT broker, kind, account_id, record_key, order_id, business_date, payload, fetched_at, load_id FROM raw_records
WHERE broker = %(broker)s AND account_id = %(account_id)s AND kind = ANY (%(kinds)s)
  AND (record_key = %(key)s OR order_id = %(order_id)s)
ORDER BY kind, record_key LIMIT 5
