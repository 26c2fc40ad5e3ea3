-- Figures are written where they differ from the newest ones of the same scope; the rows of an engine stay its own.
INSERT INTO risk_snapshots AS t (scope, captured_at, metrics, source)
SELECT %(scope)s, %(captured_at)s, %(metrics)s::jsonb, 'LIMITS'
WHERE %(metrics)s::jsonb IS DISTINCT FROM (
    SELECT s.metrics FROM risk_snapshots s WHERE s.scope = %(scope)s AND s.source = 'LIMITS'
    ORDER BY s.captured_at DESC LIMIT 1)
ON CONFLICT (scope, captured_at) DO UPDATE SET metrics = EXCLUDED.metrics
WHERE t.source = 'LIMITS' AND t.metrics IS DISTINCT FROM EXCLUDED.metrics
