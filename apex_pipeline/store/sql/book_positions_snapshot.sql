SELECT * FROM broker_positions
WHERE account_id = %(account_id)s AND broker = %(broker)s AND business_date = %(business_date)s
ORDER BY broker_position_id
