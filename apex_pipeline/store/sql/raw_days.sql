SELECT DISTINCT account_id, business_date FROM raw_records
WHERE broker = %(broker)s AND business_date BETWEEN %(from_date)s AND %(to_date)s
