-- A10. Days that a load covered and whose rows contradict each other; they are asked again. The orders that tell another
-- quantity than their trades make, or that only their trades tell of, are named.
SELECT g.broker, g.account_id, g.data_type || ' ' || g.account_id AS subject, g.business_date, NULL::numeric AS expected,
       NULL::numeric AS actual, 'ERROR' AS severity, 'MISSING_B' AS cause,
       jsonb_build_object('data_type', g.data_type, 'order_uids', coalesce(orders.uids, '[]'),
                          'rows', coalesce(jsonb_path_query_array(orders.uids, '$[0 to 19]'), '[]')) AS evidence
FROM load_gaps g
LEFT JOIN LATERAL (
    SELECT jsonb_agg(o.order_uid ORDER BY o.order_uid) AS uids
    FROM orders_norm o
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.qty), 0) AS qty FROM trades_norm t WHERE t.order_uid = o.order_uid AND t.effective
    ) AS dealt
    WHERE o.broker = g.broker AND o.account_id = g.account_id AND o.legs IS NULL
      -- an order may be filled up to a week after it was sent, as far as a gap is concerned
      AND o.trade_date BETWEEN g.business_date - 7 AND g.business_date
      AND g.business_date IN (o.trade_date, (o.updated_at AT TIME ZONE
          CASE o.market WHEN 'US' THEN 'America/New_York' ELSE 'Asia/Hong_Kong' END)::date)
      AND (o.filled_qty <> dealt.qty OR o.source = 'futu_deals')
) AS orders ON true
WHERE g.business_date BETWEEN %(from_date)s AND %(to_date)s
ORDER BY 3, 4
