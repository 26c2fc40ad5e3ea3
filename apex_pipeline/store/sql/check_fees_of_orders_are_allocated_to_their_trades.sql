-- B07. A fee that its broker charged for a whole order, and whose order has trades, is split over them without a rest.
WITH charged AS (
    SELECT f.broker, f.account_id, f.order_uid, f.currency, f.charged_on, sum(f.amount) AS expected,
           coalesce(sum((SELECT sum(a.amount) FROM fee_allocations a WHERE a.fee_uid = f.fee_uid)), 0) AS actual
    FROM fees_norm f
    WHERE f.charged_on BETWEEN %(from_date)s AND %(to_date)s AND f.trade_uid IS NULL AND f.broker = 'FUTU'
      AND EXISTS (SELECT FROM trades_norm t WHERE t.order_uid = f.order_uid AND t.effective)
    GROUP BY 1, 2, 3, 4, 5
)
SELECT broker, account_id, order_uid AS subject, charged_on AS business_date, expected, actual, 'ERROR' AS severity,
       'PIPELINE' AS cause, currency, jsonb_build_object('order_uid', order_uid) AS evidence
FROM charged WHERE expected <> actual
ORDER BY 3
