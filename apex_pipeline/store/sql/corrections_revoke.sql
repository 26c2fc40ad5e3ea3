-- Ends what is in force under this name or says anything of one of these orders; with the first day of their orders.
UPDATE strategy_corrections c SET revoked_at = now()
WHERE c.revoked_at IS NULL AND (c.correction_uid = %(correction_uid)s OR c.order_uids && %(orders)s::text[])
RETURNING c.*, coalesce((SELECT min(o.trade_date) FROM orders_norm o WHERE o.order_uid = ANY (c.order_uids)),
                        c.made_at::date) AS first_day
