-- Rows of these orders that were not named now.
DELETE FROM order_strategy_map m
WHERE m.order_uid = ANY (%(processed)s)
  AND NOT EXISTS (SELECT FROM unnest(%(orders)s::text[], %(strategies)s::text[]) AS k (order_uid, strategy_uid)
                  WHERE k.order_uid = m.order_uid AND k.strategy_uid = m.strategy_uid)
RETURNING m.trade_date
