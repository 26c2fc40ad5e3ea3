SELECT * FROM round_trips WHERE trade_id = %(trade_id)s
