SELECT * FROM trades_norm WHERE account_id = %(account_id)s AND order_uid IS NULL AND effective ORDER BY trade_uid
