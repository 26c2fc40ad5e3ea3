-- B14. Orders of Futu that were told more than once.
SELECT 'FUTU' AS broker, r.account_id, r.business_date, count(*) AS subjects
FROM orders_raw_futu r
WHERE r.business_date BETWEEN %(from_date)s AND %(to_date)s
  AND EXISTS (SELECT FROM raw_versions v
              WHERE v.table_name = 'orders_raw_futu' AND v.account_id = r.account_id AND v.record_key = r.record_key)
GROUP BY 2, 3
