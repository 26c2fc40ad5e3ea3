-- The uid of what a statement says holds the key of the record that said it.
SELECT broker, kind, account_id, record_key, order_id, business_date, payload, fetched_at, load_id FROM raw_records
WHERE broker = %(broker)s AND account_id = %(account_id)s AND business_date = %(business_date)s
  AND position(record_key IN %(uid)s) > 0
ORDER BY length(record_key) DESC LIMIT 1
