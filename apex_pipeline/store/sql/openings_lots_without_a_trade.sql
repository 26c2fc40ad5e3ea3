-- The first day of every open lot of these accounts that no known trade opened: none has its id, and none of the
-- instrument was made at its very instant. Identities first: of a lot there is a row for every day.
WITH identities AS (
    SELECT account_id, coalesce(instrument_id, symbol) AS instrument_id, open_trade_id, opened_at,
           CASE WHEN open_trade_id IS NULL THEN open_price END AS open_price, min(business_date) AS business_date
    FROM broker_lots WHERE broker = 'IB' AND account_id = ANY(%(accounts)s::text[])
    GROUP BY 1, 2, 3, 4, 5
), unknown AS (
    SELECT i.* FROM identities i
    WHERE NOT EXISTS (SELECT FROM trades_norm t WHERE t.broker = 'IB' AND t.account_id = i.account_id
                      AND t.broker_trade_id = i.open_trade_id)
      AND NOT EXISTS (
          SELECT FROM trades_norm t
          WHERE t.trade_date BETWEEN (i.opened_at AT TIME ZONE 'America/New_York')::date
                             AND (i.opened_at AT TIME ZONE 'America/New_York')::date + 4
            AND t.account_id = i.account_id AND t.executed_at = i.opened_at
            AND coalesce(t.instrument_id, t.symbol) = i.instrument_id)
)
SELECT l.* FROM broker_lots l JOIN unknown u
    ON l.business_date = u.business_date AND l.account_id = u.account_id
   AND coalesce(l.instrument_id, l.symbol) = u.instrument_id
   AND l.open_trade_id IS NOT DISTINCT FROM u.open_trade_id AND l.opened_at IS NOT DISTINCT FROM u.opened_at
   AND (l.open_trade_id IS NOT NULL OR l.open_price IS NOT DISTINCT FROM u.open_price)
WHERE l.broker = 'IB'
ORDER BY l.lot_uid
