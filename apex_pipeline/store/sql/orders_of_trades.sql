SELECT DISTINCT t.order_uid FROM trades_norm t
JOIN unnest(%(accounts)s::text[], %(keys)s::text[]) AS p (account_id, record_key)
  ON t.account_id = p.account_id AND t.broker_trade_id = p.record_key
WHERE t.broker = %(broker)s AND t.order_uid IS NOT NULL
