-- B13. A statement of the day may come on the next one, and a day more is given; after that the fill is an alarm.
SELECT t.broker, t.account_id, t.trade_uid AS subject, t.trade_date AS business_date, 1::numeric AS expected,
       0::numeric AS actual, 'ERROR' AS severity, 'MISSING_B' AS cause,
       jsonb_build_object('symbol', t.symbol, 'side', t.side, 'qty', t.qty, 'price', t.price, 'source', t.source,
                          'exec_id', t.exec_id, 'order_uid', t.order_uid) AS evidence
FROM trades_norm t
WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.source IN ('TWS', 'TCF')
  AND 2 < (SELECT count(*)
           FROM generate_series(t.trade_date + 1, (now() AT TIME ZONE 'America/New_York')::date, interval '1 day') AS d
           WHERE extract(isodow FROM d) < 6)
ORDER BY 3
