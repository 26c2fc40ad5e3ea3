SELECT order_uid, strategy_uid, trade_date, strategy_type, action, confidence FROM order_strategy_map
WHERE order_uid = ANY (%(orders)s) ORDER BY order_uid, strategy_uid
