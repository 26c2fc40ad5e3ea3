-- B01. Both sides are kept (full join): a trade without its order is as wrong as an order without its trades.
-- A combination is compared leg by leg; its filled quantity counts combinations.
-- The order ids are collected first: joined directly, the legs mislead the planner into a scan per trade.
WITH asked AS (
    SELECT o.order_uid FROM orders_norm o WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s
    UNION
    SELECT t.order_uid FROM trades_norm t
    WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.order_uid IS NOT NULL
      AND NOT EXISTS (SELECT FROM orders_norm o WHERE o.order_uid = t.order_uid)
), orders AS (
    SELECT o.order_uid, o.broker, o.account_id, o.trade_date, coalesce(leg.symbol, o.symbol) AS symbol,
           o.filled_qty * coalesce(leg.ratio, 1) AS expected
    FROM orders_norm o
    LEFT JOIN LATERAL jsonb_to_recordset(o.legs) AS leg (symbol text, ratio numeric) ON o.legs IS NOT NULL
    WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s
), trades AS (
    SELECT t.order_uid, t.broker, t.account_id, t.symbol, min(t.trade_date) AS trade_date,
           coalesce(sum(t.qty) FILTER (WHERE t.effective), 0) AS actual, array_agg(t.trade_uid ORDER BY t.trade_uid) AS uids
    FROM trades_norm t
    WHERE t.order_uid IN (SELECT order_uid FROM asked)
    GROUP BY 1, 2, 3, 4
)
SELECT coalesce(o.broker, t.broker) AS broker, coalesce(o.account_id, t.account_id) AS account_id,
       coalesce(o.order_uid, t.order_uid) || ' ' || coalesce(o.symbol, t.symbol) AS subject,
       coalesce(o.trade_date, t.trade_date) AS business_date, o.expected, coalesce(t.actual, 0) AS actual,
       'ERROR' AS severity,
       CASE WHEN o.order_uid IS NULL THEN 'MISSING_A' WHEN t.order_uid IS NULL THEN 'MISSING_B' END AS cause,
       jsonb_build_object('order_uid', coalesce(o.order_uid, t.order_uid), 'symbol', coalesce(o.symbol, t.symbol),
                          'trade_uids', coalesce(to_jsonb(t.uids), '[]'::jsonb)) AS evidence
FROM orders o FULL JOIN trades t USING (order_uid, symbol)
WHERE coalesce(o.expected, 0) <> coalesce(t.actual, 0) OR (o.order_uid IS NULL)
ORDER BY 3
