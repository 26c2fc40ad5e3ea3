-- Signals that stand, the worst and oldest first; of one source, or of all (NULL).
SELECT * FROM risk_signals
WHERE resolved_at IS NULL AND (%(source)s::text IS NULL OR source = %(source)s::text)
ORDER BY level, raised_at, scope, metric
LIMIT %(most)s::bigint
