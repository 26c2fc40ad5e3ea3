SELECT account_id, data_type, business_date FROM load_gaps
WHERE broker = %(broker)s AND business_date BETWEEN %(from_date)s AND %(to_date)s
