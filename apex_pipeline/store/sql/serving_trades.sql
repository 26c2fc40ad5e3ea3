-- Round trips as JSON, the newest first by their end, or by their beginning while they are open.
SELECT row_to_json(found)::text AS row FROM (
SELECT trade_id, broker, account_id, symbol, underlying, asset_class, side, quantity, entry_price, exit_price, entry_at,
       exit_at, entry_date, exit_date, realized_pnl, fees, currency, status, strategy_uid, source
FROM round_trips
WHERE (%(account)s::text IS NULL OR account_id = %(account)s)
  AND (%(broker)s::text IS NULL OR broker = %(broker)s)
  AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
  AND (%(since)s::timestamptz IS NULL OR coalesce(exit_at, entry_at) >= %(since)s)
ORDER BY coalesce(exit_at, entry_at) DESC NULLS LAST, coalesce(exit_date, entry_date) DESC NULLS LAST, trade_id
LIMIT %(most)s OFFSET %(first)s
) AS found
