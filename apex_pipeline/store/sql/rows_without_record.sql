-- Rows of an account-day whose broker's record is not kept: nothing but a hand wrote them. Rows that a stage derives
-- from several records (conversions, ends of options) have no record of their own.
SELECT to_jsonb(t) AS row FROM trades_norm t
WHERE %(table_name)s = 'trades_norm' AND t.account_id = %(account_id)s AND t.trade_date = %(business_date)s
  AND t.source IN ('FLEX', 'futu_deals') AND t.broker_trade_id ~ '^[0-9]+$'
  AND NOT EXISTS (SELECT FROM raw_records r
                  WHERE r.kind = 'trades' AND r.broker = t.broker AND r.account_id = t.account_id
                    AND r.record_key = t.broker_trade_id)
UNION ALL
SELECT to_jsonb(m) FROM cash_movements m
WHERE %(table_name)s = 'cash_movements' AND m.account_id = %(account_id)s AND m.booked_on = %(business_date)s
  AND m.broker_cash_id !~ '_(BASE|QUOTE)$'
  AND NOT EXISTS (SELECT FROM raw_records r
                  WHERE r.kind = 'cash' AND r.broker = m.broker AND r.account_id = m.account_id
                    AND r.record_key = m.broker_cash_id)
