-- What strategies of these families no longer hold.
DELETE FROM strategy_positions p
WHERE p.account_id = %(account_id)s AND p.underlying = ANY (%(families)s)
  AND NOT EXISTS (
      SELECT FROM unnest(%(brokers)s::text[], %(underlyings)s::text[], %(symbols)s::text[], %(places)s::bigint[])
          AS k (broker, underlying, symbol, place)
      WHERE k.broker = p.broker AND k.underlying = p.underlying AND k.symbol = p.symbol AND k.place = p.place)
