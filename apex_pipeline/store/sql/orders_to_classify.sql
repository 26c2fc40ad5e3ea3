SELECT o.*, f.first_fill_at
FROM orders_norm o
LEFT JOIN (
    SELECT order_uid, min(executed_at) AS first_fill_at FROM trades_norm
    WHERE effective AND account_id = %(account_id)s GROUP BY order_uid
) f USING (order_uid)
WHERE o.account_id = %(account_id)s AND (o.filled_qty > 0 OR o.status = 'FILLED')
ORDER BY o.order_uid
