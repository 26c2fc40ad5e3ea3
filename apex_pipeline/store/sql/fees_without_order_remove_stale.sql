-- Charges without an order, which no order can take with it: known by the record that they were made of.
DELETE FROM fees_norm f USING unnest(%(accounts)s::text[], %(keys)s::text[]) AS p (account_id, record_key)
WHERE f.broker = %(broker)s AND f.order_uid IS NULL AND f.account_id = p.account_id
  AND starts_with(f.fee_uid, f.broker || '_' || p.account_id || '_' || p.record_key || '_') AND f.fee_uid <> ALL (%(keep)s)
