DELETE FROM dirty_days WHERE stage = %(stage)s AND account_id = %(account_id)s
