SELECT order_uid FROM orders_norm WHERE broker_order_id = %(order_id)s AND broker = %(broker)s
