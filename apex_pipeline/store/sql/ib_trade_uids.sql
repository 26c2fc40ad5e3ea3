SELECT trade_uid FROM trades_norm WHERE exec_id = %(exec_id)s AND broker = 'IB'
