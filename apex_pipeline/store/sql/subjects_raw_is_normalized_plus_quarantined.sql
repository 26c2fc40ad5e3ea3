SELECT broker, account_id, business_date, count(*) AS subjects FROM raw_records
WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND (kind IN ('trades', 'cash') OR (kind = 'orders' AND broker = 'FUTU'))
GROUP BY 1, 2, 3
