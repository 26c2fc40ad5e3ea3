-- Opening lots that the broker's lots and positions no longer tell; what a person signed is never touched.
DELETE FROM opening_balances
WHERE broker = 'IB' AND account_id = ANY(%(accounts)s::text[]) AND source <> 'PERSON'
  AND opening_uid <> ALL (%(keep)s::text[])
