-- The shares of these charges that no longer follow, also of fees that are gone. The uid of a fee goes on after that of
-- the record that told it with an underscore; the backtick is the next character, so the index on the uid serves.
DELETE FROM fee_allocations a USING unnest(%(charged)s::text[]) AS told (uid)
WHERE a.fee_uid > told.uid || '_' AND a.fee_uid < told.uid || '`'
  AND NOT EXISTS (SELECT FROM unnest(%(fees)s::text[], %(trades)s::text[]) AS kept (fee_uid, trade_uid)
                  WHERE kept.fee_uid = a.fee_uid AND kept.trade_uid = a.trade_uid)
