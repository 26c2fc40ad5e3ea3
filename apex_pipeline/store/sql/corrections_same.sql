-- The very same word, if it is in force.
SELECT * FROM strategy_corrections
WHERE revoked_at IS NULL AND order_uids = %(orders)s::text[] AND strategy_type = %(strategy_type)s AND action = %(action)s
