-- B03. Orders, and those that only trades name, on the day of the first of these.
SELECT broker, account_id, business_date, count(*) AS subjects
FROM (
    SELECT broker, account_id, trade_date AS business_date FROM orders_norm
    WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s
    UNION ALL
    SELECT min(t.broker), min(t.account_id), min(t.trade_date) FROM trades_norm t LEFT JOIN orders_norm o USING (order_uid)
    WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.order_uid IS NOT NULL AND o.source IS NULL
    GROUP BY t.order_uid
) AS named
GROUP BY 1, 2, 3
