-- The days from which on what follows from matching has to be looked at again.
CREATE TEMPORARY TABLE IF NOT EXISTS due (
    broker text COLLATE "C", account_id text COLLATE "C", business_date date, was_dirty boolean
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS touched (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C" NOT NULL, from_day date NOT NULL,
    PRIMARY KEY (account_id, instrument_id)
) ON COMMIT DROP;
WITH changed AS (
    SELECT broker, account_id, min(from_day) AS first_day FROM touched GROUP BY broker, account_id
), marks AS (
    SELECT 'value' AS stage, broker, account_id, first_day AS business_date FROM changed
    UNION SELECT 'value', broker, account_id, business_date FROM due WHERE was_dirty
    -- What was compared on any later day may agree or differ now.
    UNION SELECT 'reconcile', broker, account_id, first_day FROM changed
    UNION SELECT 'reconcile', c.broker, c.account_id, l.last_day
    FROM changed c
    CROSS JOIN LATERAL (
        SELECT max(p.business_date) AS last_day FROM positions_daily p WHERE p.account_id = c.account_id
    ) AS l
    WHERE l.last_day IS NOT NULL
)
INSERT INTO dirty_days (stage, broker, account_id, business_date)
SELECT stage, broker, account_id, business_date FROM marks
ON CONFLICT DO NOTHING
