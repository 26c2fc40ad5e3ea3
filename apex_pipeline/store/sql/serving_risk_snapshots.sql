SELECT as_of, age_seconds, source, row_to_json(found)::text AS row FROM (
SELECT scope, captured_at AS as_of, round(extract(epoch FROM clock_timestamp() - captured_at), 3) AS age_seconds,
       source, metrics
FROM latest_risk_snapshots
ORDER BY scope
) AS found
