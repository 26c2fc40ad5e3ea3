DELETE FROM dirty_days WHERE stage = %(stage)s AND business_date BETWEEN %(from_date)s AND %(to_date)s
