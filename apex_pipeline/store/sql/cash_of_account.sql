SELECT * FROM cash_movements WHERE broker = %(broker)s AND account_id = %(account_id)s ORDER BY booked_on, cash_uid
