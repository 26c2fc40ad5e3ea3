-- The newest snapshot of an account that one of these brokers told itself, captured after %(since)s.
SELECT newest.* FROM unnest(%(brokers)s::text[]) AS asked (broker)
CROSS JOIN LATERAL (
    SELECT p.* FROM position_snapshots p
    WHERE p.broker = asked.broker AND p.account_id = %(account_id)s AND p.source = p.broker
      AND p.captured_at > coalesce(%(since)s, '-infinity'::timestamptz)
    ORDER BY p.captured_at DESC LIMIT 1) AS newest
ORDER BY newest.captured_at DESC
LIMIT 1
