-- Limits that are passed now, breaches first.
SELECT signal_uid, level, signal_type, metric, scope, value, threshold, source, raised_at,
       round(extract(epoch FROM clock_timestamp() - raised_at), 3) AS age_seconds
FROM risk_signals WHERE resolved_at IS NULL
ORDER BY level, raised_at DESC, signal_uid LIMIT 200
