DELETE FROM account_rules WHERE account_id = %(account_id)s AND rule = %(rule)s AND from_date = %(from_date)s
