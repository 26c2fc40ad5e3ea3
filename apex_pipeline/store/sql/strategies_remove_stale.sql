DELETE FROM order_strategy_map m
WHERE m.account_id = %(account_id)s
  AND NOT EXISTS (SELECT FROM unnest(%(orders)s::text[], %(strategies)s::text[]) AS k (order_uid, strategy_uid)
                  WHERE k.order_uid = m.order_uid AND k.strategy_uid = m.strategy_uid)
