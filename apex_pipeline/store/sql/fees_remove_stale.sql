DELETE FROM fees_norm f
WHERE f.order_uid = ANY (%(processed)s) AND f.fee_uid <> ALL (%(keep)s)
