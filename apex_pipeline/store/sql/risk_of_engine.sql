-- The newest figures of a scope that the pipeline did not measure itself.
SELECT * FROM risk_snapshots WHERE scope = %(scope)s AND source <> 'LIMITS' ORDER BY captured_at DESC LIMIT 1
