-- The days on which these accounts are known: weekdays, and days with a movement or a snapshot of the broker, from the
-- first day that was asked of the broker (or moved) to the last. `stored`: positions_daily has rows of that day.
CREATE TEMPORARY TABLE IF NOT EXISTS position_days (
    account_id text COLLATE "C", on_date date, known boolean NOT NULL, stored boolean NOT NULL,
    PRIMARY KEY (account_id, on_date)
) ON COMMIT DROP;
TRUNCATE position_days;
INSERT INTO position_days
WITH asked AS (
    SELECT account_id COLLATE "C" AS account_id FROM unnest(%(accounts)s::text[]) AS a (account_id)
), spans AS (
    -- least and greatest leave NULLs out. Openings are dated before the first known day.
    SELECT a.account_id, greatest(told.last_day, last.business_date) AS last_day,
           coalesce(least(told.first_day, first.business_date), opened.business_date) AS first_day
    FROM asked a
    LEFT JOIN LATERAL (
        SELECT min(c.from_date) AS first_day, max(c.to_date) AS last_day FROM load_coverage c
        WHERE c.account_id = a.account_id AND c.data_type IN ('futu_deals', 'ib_flex')) told ON true
    LEFT JOIN LATERAL (
        SELECT m.business_date FROM position_movements m WHERE m.account_id = a.account_id AND m.kind <> 'OPENING'
        ORDER BY m.business_date LIMIT 1) first ON true
    LEFT JOIN LATERAL (
        SELECT m.business_date FROM position_movements m WHERE m.account_id = a.account_id
        ORDER BY m.business_date LIMIT 1) opened ON true
    LEFT JOIN LATERAL (
        SELECT m.business_date FROM position_movements m WHERE m.account_id = a.account_id
        ORDER BY m.business_date DESC LIMIT 1) last ON true
), days AS (
    SELECT s.account_id, s.first_day, s.last_day, day::date AS on_date
    FROM spans s, (SELECT min(business_date) AS first_day, max(business_date) AS last_day FROM positions_daily) t,
         generate_series(least(s.first_day, t.first_day), greatest(s.last_day, t.last_day), interval '1 day') AS day
)
SELECT account_id, on_date, known, stored
FROM (SELECT d.account_id, d.on_date,
             coalesce(d.on_date BETWEEN d.first_day AND d.last_day, false) AND (
                 extract(isodow FROM d.on_date) < 6
                 OR EXISTS (SELECT FROM position_movements m
                            WHERE m.business_date = d.on_date AND m.account_id = d.account_id)
                 OR EXISTS (SELECT FROM broker_positions b
                            WHERE b.business_date = d.on_date AND b.account_id = d.account_id)) AS known,
             EXISTS (SELECT FROM positions_daily p
                     WHERE p.business_date = d.on_date AND p.account_id = d.account_id) AS stored
      FROM days d) AS looked
WHERE known OR stored;
ANALYZE position_days
