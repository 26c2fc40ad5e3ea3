CREATE TEMPORARY TABLE IF NOT EXISTS touched (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C", from_day date
) ON COMMIT DROP;
SELECT DISTINCT account_id FROM touched ORDER BY 1
