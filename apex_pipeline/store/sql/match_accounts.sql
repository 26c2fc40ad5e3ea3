-- The accounts with days that are asked or have changed, and with days that were asked of their broker; each with its
-- first one.
CREATE TEMPORARY TABLE IF NOT EXISTS due (
    broker text COLLATE "C", account_id text COLLATE "C", business_date date, was_dirty boolean
) ON COMMIT DROP;
SELECT account_id, min(first_day) AS first_day FROM (
    SELECT account_id, business_date AS first_day FROM due
    UNION ALL SELECT account_id, greatest(from_date, %(from_date)s) FROM load_coverage
    WHERE from_date <= %(to_date)s AND to_date >= %(from_date)s
) AS days
GROUP BY account_id ORDER BY account_id
