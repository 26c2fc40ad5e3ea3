-- Executions as JSON, the newest first. The exchange's date is at most a day away from the day in UTC.
SELECT row_to_json(found)::text AS row FROM (
SELECT trade_uid, order_uid, broker, account_id, broker_trade_id, exec_id, symbol, underlying, asset_class, kind, side,
       qty, price, multiplier, amount, currency, executed_at, trade_date, settle_date, effective, source
FROM trades_norm
WHERE (%(account)s::text IS NULL OR account_id = %(account)s)
  AND (%(broker)s::text IS NULL OR broker = %(broker)s)
  AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
  AND (%(since)s::timestamptz IS NULL
       OR (executed_at >= %(since)s AND trade_date >= (%(since)s::timestamptz AT TIME ZONE 'UTC')::date - 1))
ORDER BY trade_date DESC, executed_at DESC NULLS LAST, trade_uid
LIMIT %(most)s OFFSET %(first)s
) AS found
