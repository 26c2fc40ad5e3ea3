-- A part of what was captured before a moment.
DELETE FROM risk_snapshots s
USING (SELECT scope, captured_at FROM risk_snapshots WHERE captured_at < %(before)s LIMIT %(most)s) AS old
WHERE s.scope = old.scope AND s.captured_at = old.captured_at
