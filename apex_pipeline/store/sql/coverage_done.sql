-- Days that need not be asked again: told after they could no longer change, or told to a run that was
-- interrupted within the last day and is being continued now.
WITH unfinished AS (
    SELECT run_id FROM load_runs
    WHERE broker = %(broker)s AND outcome IS DISTINCT FROM 'DONE' AND started_at > clock_timestamp() - interval '24 hours'
), covered AS (
    SELECT c.data_type, c.account_id, c.market, c.from_date,
           CASE WHEN l.run_id IN (SELECT run_id FROM unfinished) THEN c.to_date
                ELSE least(c.to_date, c.covered_at::date - %(final_after_days)s) END AS to_date
    FROM load_coverage c JOIN loads l USING (load_id)
    WHERE c.broker = %(broker)s AND c.to_date >= %(from_date)s AND c.from_date <= %(to_date)s
)
SELECT DISTINCT data_type, account_id, market, from_date, to_date FROM covered WHERE to_date >= from_date
ORDER BY 1, 2, 3, 4, 5
