-- Records that could not be read and wait, by what was wrong with them.
SELECT broker, kind, reason_code, count(*) AS records, min(first_seen_at) AS first_seen_at
FROM quarantine WHERE resolved_at IS NULL GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3
