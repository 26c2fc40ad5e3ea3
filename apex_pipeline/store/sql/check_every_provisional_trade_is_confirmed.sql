-- B13. A statement of the day may come on the next one, and a day more is given; after that the fill is an alarm. What
-- would set it right is the word of the statement: that there was no such trade, and no fee of it.
SELECT t.broker, t.account_id, t.trade_uid AS subject, t.trade_date AS business_date, 1::numeric AS expected,
       0::numeric AS actual, 'ERROR' AS severity, 'MISSING_B' AS cause,
       jsonb_build_object('symbol', t.symbol, 'side', t.side, 'qty', t.qty, 'price', t.price, 'source', t.source,
                          'exec_id', t.exec_id, 'order_uid', t.order_uid, 'rows', jsonb_build_array(t.trade_uid),
                          'set_right', coalesce(fees.removals, '[]') || jsonb_build_object(
                              'do', 'delete', 'table', 'trades_norm', 'key', jsonb_build_object(
                                  'trade_uid', t.trade_uid, 'trade_date', t.trade_date))) AS evidence
FROM trades_norm t
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('do', 'delete', 'table', 'fees_norm',
                                        'key', jsonb_build_object('fee_uid', f.fee_uid)) ORDER BY f.fee_uid) AS removals
    FROM fees_norm f WHERE f.trade_uid = t.trade_uid
) AS fees
WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.source IN ('TWS', 'TCF')
  AND 2 < (SELECT count(*)
           FROM generate_series(t.trade_date + 1, (now() AT TIME ZONE 'America/New_York')::date, interval '1 day') AS d
           WHERE extract(isodow FROM d) < 6)
ORDER BY 3
