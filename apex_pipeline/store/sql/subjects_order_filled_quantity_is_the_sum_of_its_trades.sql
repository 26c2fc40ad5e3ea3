-- B01. Orders whose filled quantity is told and, at Futu, whose days were loaded with their deals (see the check).
WITH loaded AS (
    SELECT l.account_id, lower(span) AS first, upper(span) AS until,
           upper(span)::timestamp AT TIME ZONE 'America/New_York' AS until_us,
           upper(span)::timestamp AT TIME ZONE 'Asia/Hong_Kong' AS until_hk
    FROM (SELECT DISTINCT account_id FROM loads WHERE broker = 'FUTU' AND data_type = 'futu_orders') AS l
    LEFT JOIN LATERAL (
        SELECT unnest(range_agg(daterange(c.from_date, c.to_date, '[]'))) AS span FROM load_coverage c
        WHERE c.broker = 'FUTU' AND c.data_type = 'futu_deals' AND c.account_id = l.account_id
    ) AS dealt ON true
)
SELECT o.broker, o.account_id, o.trade_date AS business_date, count(*) AS subjects
FROM orders_norm o
LEFT JOIN loaded ON loaded.account_id = o.account_id AND o.broker = 'FUTU'
WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s AND o.filled_qty IS NOT NULL
  AND (o.legs IS NULL OR NOT jsonb_path_exists(o.legs, '$[*] ? (@.ratio == null)'))
  AND (loaded.account_id IS NULL OR (
       o.trade_date >= loaded.first AND o.trade_date < loaded.until AND (o.updated_at IS NULL
       OR o.updated_at < CASE o.market WHEN 'US' THEN loaded.until_us ELSE loaded.until_hk END)))
GROUP BY 1, 2, 3
