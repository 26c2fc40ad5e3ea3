-- What these orders were read as.
SELECT order_uid, strategy_uid, strategy_type, action, leg_role, confidence, method FROM order_strategy_map
WHERE order_uid = ANY (%(orders)s) ORDER BY order_uid, strategy_uid
