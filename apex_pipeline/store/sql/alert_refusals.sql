-- What a broker refused last, and has not granted since: data of an account, or everything (a login).
WITH data AS (
    SELECT DISTINCT ON (broker, data_type, account_id)
           broker, data_type, account_id, finished_at AS refused_at, error, is_refused
    FROM loads
    WHERE finished_at > %(since)s AND (status = 'COMPLETE' OR is_refused)
    ORDER BY broker, data_type, account_id, load_id DESC
), logins AS (
    SELECT DISTINCT ON (broker) broker, run_id, ended_at AS refused_at, refusal
    FROM load_runs
    WHERE ended_at > %(since)s AND (outcome = 'DONE' OR refusal IS NOT NULL)
    ORDER BY broker, run_id DESC
)
SELECT broker, data_type AS wanted, account_id, refused_at, error FROM data WHERE is_refused
UNION ALL
SELECT r.broker, 'login', NULL, r.refused_at, r.refusal FROM logins r
WHERE r.refusal IS NOT NULL AND NOT EXISTS (
    SELECT FROM loads l WHERE l.broker = r.broker
    AND (l.run_id = r.run_id AND l.is_refused OR l.run_id > r.run_id AND l.status = 'COMPLETE'))
ORDER BY 1, 2, 3
