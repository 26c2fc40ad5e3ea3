DELETE FROM strategies s
WHERE s.account_id = %(account_id)s AND s.broker = %(broker)s AND s.underlying = ANY (%(families)s)
  AND NOT EXISTS (SELECT FROM unnest(%(keep)s::text[]) AS k (uid) WHERE k.uid = s.strategy_uid)
