SELECT o.broker_order_id FROM orders_norm o
WHERE o.broker = 'FUTU' AND o.status IN ('FILLED', 'PARTIAL', 'PARTIAL_CANCELLED')
  AND o.account_id = coalesce(%(account_id)s, o.account_id)
  AND NOT EXISTS (SELECT FROM fees_norm f WHERE f.order_uid = o.order_uid)
ORDER BY o.trade_date DESC, o.order_uid
