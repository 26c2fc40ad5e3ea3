-- B03. Every trade that names an order has it, and the order is one that the broker told. Futu may leave an order out
-- of its history; it is then rebuilt from its deals and marked by its source: a warning. An order that is nowhere, not
-- even rebuilt, is an error on the day of its first trade. Trades without the number of an order (book entries, old
-- deals, some of IB's executions) ask for none. What would set a rebuilt order right: its trade, where exactly one
-- order of its account and day lacks just that (the trade then names another order than its own).
WITH orphan AS MATERIALIZED (
    SELECT DISTINCT t.order_uid FROM trades_norm t LEFT JOIN orders_norm o ON o.order_uid = t.order_uid
    WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.order_uid IS NOT NULL AND o.order_uid IS NULL
)
SELECT lost.broker, lost.account_id, lost.order_uid AS subject, lost.trade_date AS business_date,
    1::numeric AS expected,
       0::numeric AS actual, 'ERROR' AS severity,
       CASE WHEN quarantined.reason IS NOT NULL THEN 'REFERENCE_DATA'
            WHEN told.name IS NOT NULL OR lost.broker = 'IB' THEN 'PIPELINE' ELSE 'MISSING_A' END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'order_uid', lost.order_uid, 'symbol', lost.symbol, 'trades', lost.trades, 'order_record', told.name,
           'quarantined', quarantined.reason,
           'rows', lost.uids || CASE WHEN told.name IS NULL THEN '[]' ELSE to_jsonb(told.name) END)) AS evidence
FROM (
    SELECT min(t.broker) AS broker, min(t.account_id) AS account_id, t.order_uid, min(t.trade_date) AS trade_date,
           CASE WHEN min(t.symbol) = max(t.symbol) THEN min(t.symbol) END AS symbol,
           jsonb_path_query_array(jsonb_agg(t.trade_uid ORDER BY t.trade_uid), '$[0 to 18]') AS uids,
           jsonb_path_query_array(jsonb_agg(jsonb_build_object(
               'trade_uid', t.trade_uid, 'symbol', t.symbol, 'side', t.side, 'qty', t.qty::text, 'price', t.price::text,
               'counts', t.effective) ORDER BY t.trade_uid), '$[0 to 18]') AS trades
    FROM trades_norm t WHERE t.order_uid IN (SELECT order_uid FROM orphan)
    GROUP BY t.order_uid
) AS lost
LEFT JOIN LATERAL (
    SELECT 'orders_raw_' || lower(r.broker) || '/' || r.account_id || '/' || r.record_key AS name
    FROM raw_records r
    WHERE r.kind = 'orders' AND r.broker = lost.broker AND r.account_id = lost.account_id AND lost.broker = 'FUTU'
      AND r.record_key = substr(lost.order_uid, length(lost.broker) + length(lost.account_id) + 3)
    LIMIT 1
) AS told ON true
LEFT JOIN LATERAL (
    SELECT min(q.reason) AS reason FROM quarantine q
    WHERE q.broker = lost.broker AND q.kind = 'orders' AND q.account_id = lost.account_id AND q.resolved_at IS NULL
      AND q.broker_key = substr(lost.order_uid, length(lost.broker) + length(lost.account_id) + 3)
) AS quarantined ON true
WHERE lost.trade_date BETWEEN %(from_date)s AND %(to_date)s
UNION ALL
SELECT o.broker, o.account_id, o.order_uid, o.trade_date, 1, 0, 'WARN', 'REFERENCE_DATA',
       jsonb_strip_nulls(jsonb_build_object(
           'order_uid', o.order_uid, 'symbol', o.symbol, 'filled_qty', o.filled_qty::text,
           'rows', jsonb_build_array(o.order_uid) || known.uids, 'set_right', own.rows))
FROM orders_norm o
LEFT JOIN LATERAL (
    SELECT jsonb_build_array(
               jsonb_build_object('do', 'update', 'table', 'trades_norm',
                                  'key', jsonb_build_object('trade_uid', min(t.trade_uid)),
                                  'row', jsonb_build_object('order_uid', min(lacking.order_uid),
                                                            'trade_date', o.trade_date)),
               jsonb_build_object('do', 'delete', 'table', 'orders_norm',
                                  'key', jsonb_build_object('order_uid', o.order_uid))) AS rows
    FROM trades_norm t
    JOIN orders_norm lacking
      ON lacking.broker = o.broker AND lacking.account_id = o.account_id AND lacking.source = 'futu_orders'
     AND lacking.trade_date BETWEEN o.trade_date - 7 AND o.trade_date AND lacking.symbol = t.symbol
     AND lacking.side = t.side AND lacking.legs IS NULL
     AND lacking.filled_qty - t.qty = (SELECT coalesce(sum(d.qty), 0) FROM trades_norm d
                                       WHERE d.order_uid = lacking.order_uid AND d.effective)
    WHERE t.order_uid = o.order_uid AND t.effective
    HAVING count(*) = 1 AND count(*) = (SELECT count(*) FROM trades_norm d WHERE d.order_uid = o.order_uid)
) AS own ON true
CROSS JOIN LATERAL (
    SELECT jsonb_path_query_array(coalesce(jsonb_agg(t.trade_uid ORDER BY t.trade_uid), '[]'), '$[0 to 18]') AS uids
    FROM trades_norm t WHERE t.order_uid = o.order_uid
) AS known
WHERE o.source = 'futu_deals' AND o.trade_date BETWEEN %(from_date)s AND %(to_date)s
ORDER BY 3
