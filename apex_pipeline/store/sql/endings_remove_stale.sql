DELETE FROM trades_norm
WHERE broker = %(broker)s AND account_id = %(account_id)s AND source = ANY (%(made)s) AND trade_uid <> ALL (%(keep)s)
RETURNING trade_date
