DELETE FROM fee_allocations a USING fees_norm f
WHERE f.fee_uid = a.fee_uid AND f.order_uid = ANY (%(processed)s)
  AND NOT EXISTS (SELECT FROM unnest(%(fees)s::text[], %(trades)s::text[]) AS kept (fee_uid, trade_uid)
                  WHERE kept.fee_uid = a.fee_uid AND kept.trade_uid = a.trade_uid)
