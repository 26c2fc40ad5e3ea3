DELETE FROM strategy_chains c
WHERE c.account_id = %(account_id)s AND c.broker = %(broker)s AND c.underlying = ANY (%(families)s)
  AND NOT EXISTS (SELECT FROM unnest(%(keep)s::text[]) AS k (uid) WHERE k.uid = c.chain_uid)
