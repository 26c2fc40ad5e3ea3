-- The instruments whose lots may have changed, each from its first changed day on, in `touched`: those whose movements
-- changed, those that a rule of a person concerns, and what a link joins to them. Returns how many, and the first day.
CREATE TEMPORARY TABLE IF NOT EXISTS due (
    broker text COLLATE "C", account_id text COLLATE "C", business_date date, was_dirty boolean
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS movement_changes ON COMMIT DROP AS
SELECT broker, account_id, instrument_id, business_date, link_id FROM position_movements WITH NO DATA;
CREATE TEMPORARY TABLE touched (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C" NOT NULL, from_day date NOT NULL,
    PRIMARY KEY (account_id, instrument_id)
) ON COMMIT DROP;

-- A method that a person chose is the one of the newest rule on the day of the closing.
CREATE TEMPORARY TABLE methods ON COMMIT DROP AS
SELECT account_id, from_date, lead(from_date, 1, 'infinity') OVER (PARTITION BY account_id ORDER BY from_date) AS until,
    value AS method
FROM account_rules WHERE rule = 'LOT_METHOD';

-- An average is one of all lots that were ever open together: its accounts begin anew, and so does what is linked. A rule
-- that was set or taken back has marked a day; from it on stored methods may be wrong. `dirty_since` is the first mark.
CREATE TEMPORARY TABLE starts ON COMMIT DROP AS
SELECT broker, account_id, instrument_id, business_date AS from_day FROM position_movements WITH NO DATA;
WITH RECURSIVE seeds AS (
    SELECT broker, account_id, instrument_id, business_date FROM movement_changes
    UNION ALL
    SELECT m.broker, m.account_id, m.instrument_id, m.business_date
    FROM (SELECT DISTINCT account_id, link_id FROM movement_changes WHERE link_id IS NOT NULL) AS c
    JOIN position_movements m USING (account_id, link_id)
    UNION ALL
    SELECT r.broker, r.account_id, r.instrument_id, r.on_day FROM (
        SELECT broker, account_id, instrument_id, closed_on AS on_day, method FROM realized_pnl
        WHERE closed_on >= %(dirty_since)s
        UNION ALL
        SELECT broker, account_id, instrument_id, started_on, method FROM lots
        WHERE (closed_on IS NULL OR closed_on >= %(dirty_since)s) AND started_on >= %(dirty_since)s
        UNION ALL
        SELECT broker, account_id, instrument_id, started_on, method FROM lots
        WHERE EXISTS (SELECT FROM methods) AND account_id IN (SELECT account_id FROM methods)
    ) AS r
    WHERE r.account_id IN (SELECT account_id FROM due WHERE was_dirty)
      AND r.method <> coalesce((
          SELECT m.method FROM methods m
          WHERE m.account_id = r.account_id AND r.on_day >= m.from_date AND r.on_day < m.until
      ), 'FIFO')
    UNION ALL
    SELECT m.broker, m.account_id, m.instrument_id, m.business_date
    FROM methods s JOIN due d ON d.account_id = s.account_id AND d.business_date >= s.from_date AND d.business_date < s.until
    JOIN position_movements m ON m.account_id = d.account_id AND m.business_date = d.business_date
    WHERE s.method = 'SPECIFIC'
), first_days AS (
    SELECT s.broker, s.account_id, s.instrument_id,
        CASE WHEN bool_or(a.account_id IS NOT NULL) THEN '-infinity' ELSE min(s.business_date) END AS from_day
    FROM seeds s LEFT JOIN (SELECT DISTINCT account_id FROM methods WHERE method = 'AVERAGE') AS a USING (account_id)
    GROUP BY s.broker, s.account_id, s.instrument_id
), reached AS (
    SELECT * FROM first_days
    UNION
    SELECT o.broker, o.account_id, o.instrument_id,
        CASE WHEN r.from_day = '-infinity' THEN r.from_day ELSE o.business_date END
    FROM reached r
    JOIN position_movements m ON m.account_id = r.account_id AND m.instrument_id = r.instrument_id
        AND m.business_date >= r.from_day AND m.link_id IS NOT NULL
    JOIN position_movements o ON o.account_id = m.account_id AND o.link_id = m.link_id
        AND o.instrument_id <> m.instrument_id AND o.link_id IS NOT NULL
)
INSERT INTO starts
SELECT min(broker), account_id, instrument_id, min(from_day) FROM reached
GROUP BY account_id, instrument_id;

INSERT INTO touched
SELECT s.account_id, s.instrument_id, s.broker, CASE
    WHEN s.from_day > '-infinity' THEN s.from_day
    ELSE least(
        (SELECT min(m.business_date) FROM position_movements m
         WHERE m.account_id = s.account_id AND m.instrument_id = s.instrument_id),
        (SELECT min(c.business_date) FROM movement_changes c
         WHERE c.account_id = s.account_id AND c.instrument_id = s.instrument_id)
    )
END
FROM starts s;
ANALYZE touched;

SELECT count(*) AS touched, min(from_day) AS since FROM touched
