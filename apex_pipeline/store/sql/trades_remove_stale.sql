DELETE FROM trades_norm t USING unnest(%(accounts)s::text[], %(keys)s::text[]) AS p (account_id, record_key)
WHERE t.broker = %(broker)s AND t.account_id = p.account_id AND t.broker_trade_id = p.record_key
  AND t.trade_uid <> ALL (%(keep)s)
