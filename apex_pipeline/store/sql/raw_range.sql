SELECT kind, account_id, record_key, order_id, business_date, payload, generated_at FROM raw_records
WHERE broker = %(broker)s AND account_id = %(account_id)s AND business_date BETWEEN %(from_date)s AND %(to_date)s
ORDER BY 1, 2, 3
