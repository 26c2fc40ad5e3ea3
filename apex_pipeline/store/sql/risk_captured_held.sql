-- What these snapshots of positions hold; a value that is no number is NULL.
SELECT s.account_id, coalesce(p ->> 'symbol', '?') AS symbol, coalesce(i.underlying, p ->> 'symbol', '?') AS underlying,
       CASE WHEN p ->> 'market_value' ~ '^[-+]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][-+]?[0-9]{1,2})?$'
            THEN (p ->> 'market_value')::numeric END AS value,
       p ->> 'currency' AS currency
FROM unnest(%(brokers)s::text[], %(accounts)s::text[], %(instants)s::timestamptz[]) AS due (broker, account_id, captured_at)
JOIN position_snapshots s USING (broker, account_id, captured_at)
CROSS JOIN LATERAL jsonb_array_elements(s.positions) AS p
LEFT JOIN instruments i ON i.symbol = p ->> 'symbol'
WHERE coalesce(p ->> 'asset_class', '') NOT IN ('FX', 'COMBO')
  AND coalesce(p ->> 'qty', '?') !~ '^[-+]?(0+\.?0*|\.0+)$'
ORDER BY s.account_id, p ->> 'symbol'
