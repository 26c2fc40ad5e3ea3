-- How old the newest snapshot of each kind and account is, the oldest first. What the pipeline measured itself does not
-- age: it is written when it changes.
SELECT s.kind, s.broker, s.account_id, s.position_count, s.source, s.captured_at AS as_of,
       round(extract(epoch FROM clock_timestamp() - s.captured_at), 3) AS age_seconds
FROM (
    SELECT 'positions' AS kind, broker, account_id, position_count, source, captured_at FROM latest_position_snapshots
    UNION ALL
    SELECT 'account', broker, account_id, NULL, NULL, captured_at FROM latest_account_snapshots
    UNION ALL
    SELECT 'risk', NULL, scope, NULL, source, captured_at FROM latest_risk_snapshots WHERE source <> 'LIMITS'
) AS s
ORDER BY s.kind, s.captured_at, s.account_id
