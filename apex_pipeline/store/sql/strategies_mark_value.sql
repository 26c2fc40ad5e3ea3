-- Results by strategy follow from the first order that is named otherwise now: the rows that this transaction wrote.
INSERT INTO dirty_days (stage, broker, account_id, business_date)
SELECT 'value', o.broker, m.account_id, min(m.trade_date)
FROM order_strategy_map m JOIN orders_norm o USING (order_uid)
WHERE m.account_id = %(account_id)s AND m.xmin = pg_current_xact_id()::xid
GROUP BY 2, 3
ON CONFLICT DO NOTHING
