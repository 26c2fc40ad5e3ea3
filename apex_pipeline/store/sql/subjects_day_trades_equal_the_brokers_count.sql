-- Counts that Futu told under the old rule on day trades, of five sessions whose deals were all loaded and read.
WITH told AS (
    SELECT DISTINCT r.account_id, r.business_date,
           (coalesce(r.generated_at, r.fetched_at) AT TIME ZONE 'America/New_York')::date AS day
    FROM balances_raw_futu r CROSS JOIN jsonb_array_elements(r.payload -> 'rows') AS row
    WHERE r.business_date BETWEEN %(from_date)s AND %(to_date)s AND jsonb_typeof(r.payload -> 'rows') = 'array'
      AND row ->> 'pdtSeq' ~ '^[^0-9-]*[0-3]([^0-9-]+[0-9])*[^0-9-]*$' AND coalesce(row ->> 'isPdt', 'false') = 'false'
      AND coalesce(row ->> 'dtStatus', '0') = '0'
), sessions AS MATERIALIZED (
    SELECT on_date, row_number() OVER (ORDER BY on_date) AS n FROM market_days WHERE calendar = 'XNYS' AND is_session
)
SELECT 'FUTU' AS broker, t.account_id, t.business_date, count(*) AS subjects
FROM told t
JOIN LATERAL (SELECT s.n, s.on_date FROM sessions s WHERE s.on_date <= t.day ORDER BY s.n DESC LIMIT 1) AS last ON true
JOIN sessions first ON first.n = last.n - 4
LEFT JOIN LATERAL (
    SELECT r.value FROM account_rules r
    WHERE r.account_id = t.account_id AND r.rule = 'REGIME' AND r.from_date <= last.on_date
    ORDER BY r.from_date DESC LIMIT 1
) AS said ON true
WHERE last.on_date < '2027-10-20' AND CASE WHEN said.value IS NULL THEN last.on_date < '2026-06-04'
                                           ELSE said.value = 'LEGACY_PDT' END
  AND NOT EXISTS (
      SELECT FROM sessions s
      WHERE s.n BETWEEN last.n - 4 AND last.n
        AND NOT EXISTS (SELECT FROM load_coverage c
                        WHERE c.broker = 'FUTU' AND c.account_id = t.account_id AND c.data_type = 'futu_deals'
                          AND s.on_date BETWEEN c.from_date AND c.to_date))
  AND NOT EXISTS (SELECT FROM quarantine q
                  WHERE q.broker = 'FUTU' AND q.kind IN ('trades', 'orders') AND q.account_id = t.account_id
                    AND q.resolved_at IS NULL AND q.business_date BETWEEN first.on_date AND last.on_date)
GROUP BY 1, 2, 3
