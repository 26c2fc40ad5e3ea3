-- Every closed piece of these accounts whose opening no known trade is.
SELECT c.* FROM broker_closed_lots c
WHERE c.broker = 'IB' AND c.account_id = ANY(%(accounts)s::text[])
  AND NOT EXISTS (SELECT FROM trades_norm t WHERE t.broker = 'IB' AND t.account_id = c.account_id
                  AND t.broker_trade_id = c.open_trade_id)
  AND NOT EXISTS (
      SELECT FROM trades_norm t
      WHERE t.trade_date BETWEEN (c.opened_at AT TIME ZONE 'America/New_York')::date
                         AND (c.opened_at AT TIME ZONE 'America/New_York')::date + 4
        AND t.account_id = c.account_id AND t.executed_at = c.opened_at
        AND coalesce(t.instrument_id, t.symbol) = coalesce(c.instrument_id, c.symbol))
ORDER BY c.lot_uid
