DELETE FROM orders_norm o
WHERE o.order_uid = ANY (%(processed)s) AND o.order_uid <> ALL (%(keep)s)
