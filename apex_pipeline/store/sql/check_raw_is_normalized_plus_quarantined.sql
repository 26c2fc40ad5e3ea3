-- A09. Every raw order, trade and booking of cash of a day is a normalized row or stands in quarantine. IB's ORDER rows are check
-- data (its orders are built from executions); fee records are the matter of the fee check.
WITH raw AS (
    SELECT r.broker, r.account_id, r.business_date, r.kind, r.record_key,
           CASE r.kind
               WHEN 'orders' THEN EXISTS (SELECT FROM orders_norm o WHERE o.order_uid = 'FUTU_' || r.account_id || '_' || r.record_key)
               WHEN 'cash' THEN EXISTS (SELECT FROM cash_movements m WHERE m.broker = r.broker AND m.account_id = r.account_id
                                        AND m.broker_cash_id = r.record_key)
               ELSE EXISTS (SELECT FROM trades_norm t WHERE t.broker = r.broker AND t.account_id = r.account_id
                            AND t.broker_trade_id = r.record_key)
           END AS normalized,
           EXISTS (SELECT FROM quarantine q WHERE q.broker = r.broker AND q.kind = r.kind AND q.account_id = r.account_id
                   AND q.broker_key = r.record_key AND q.resolved_at IS NULL) AS quarantined
    FROM raw_records r
    WHERE r.business_date BETWEEN %(from_date)s AND %(to_date)s
      AND (r.kind IN ('trades', 'cash') OR (r.kind = 'orders' AND r.broker = 'FUTU'))
)
SELECT broker, account_id, kind || ' ' || account_id AS subject, business_date, count(*)::numeric AS expected,
       count(*) FILTER (WHERE normalized OR quarantined)::numeric AS actual, 'ERROR' AS severity, 'PIPELINE' AS cause,
       jsonb_build_object('kind', kind, 'missing_keys',
                          to_jsonb(array_agg(record_key ORDER BY record_key) FILTER (WHERE NOT (normalized OR quarantined)))) AS evidence
FROM raw GROUP BY broker, account_id, kind, business_date
HAVING NOT bool_and(normalized OR quarantined)
ORDER BY 3, 4
