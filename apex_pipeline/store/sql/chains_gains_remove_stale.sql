DELETE FROM chain_gains g
WHERE g.account_id = %(account_id)s AND g.broker = %(broker)s AND g.underlying = ANY (%(families)s)
  AND NOT EXISTS (SELECT FROM unnest(%(pieces)s::text[], %(chains)s::text[]) AS k (piece, chain)
                  WHERE k.piece = g.realized_uid AND k.chain = g.chain_uid)
