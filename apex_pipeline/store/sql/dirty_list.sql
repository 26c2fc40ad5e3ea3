SELECT broker, account_id, business_date FROM dirty_days
WHERE stage = %(stage)s AND broker = ANY (%(brokers)s) ORDER BY 1, 2, 3
