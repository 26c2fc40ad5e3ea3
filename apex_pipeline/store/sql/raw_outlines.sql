SELECT kind, account_id, record_key, order_id, business_date, generated_at,
       coalesce((SELECT jsonb_object_agg(field.key, field.value) FROM jsonb_each(payload) AS field
                 WHERE field.key = ANY (%(fields)s)), '{}'::jsonb) AS payload
FROM raw_records
WHERE broker = %(broker)s AND account_id = %(account_id)s AND business_date BETWEEN %(from_date)s AND %(to_date)s
  AND kind IN ('orders', 'trades', 'fees')
ORDER BY 1, 2, 3
