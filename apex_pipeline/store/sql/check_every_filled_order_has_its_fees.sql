-- B05. A fee may come up to two business days late; until then its absence is a warning. What is only provisional waits
-- for its statement, which another check watches.
SELECT o.broker, o.account_id, o.order_uid AS subject, o.trade_date AS business_date, 1::numeric AS expected,
       0::numeric AS actual,
       CASE WHEN young THEN 'WARN' ELSE 'ERROR' END AS severity,
       CASE WHEN young THEN 'FEE_PENDING' ELSE 'MISSING_B' END AS cause,
       jsonb_build_object('order_uid', o.order_uid, 'symbol', o.symbol, 'filled_qty', o.filled_qty) AS evidence
FROM orders_norm o
CROSS JOIN LATERAL (
    SELECT count(*) < 2 AS young FROM generate_series(o.trade_date + 1, current_date, interval '1 day') AS d
    WHERE extract(isodow FROM d) < 6
) age
WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s AND o.filled_qty > 0 AND o.source NOT IN ('TWS', 'TCF')
  AND NOT EXISTS (SELECT FROM fees_norm f WHERE f.order_uid = o.order_uid)
ORDER BY 3
