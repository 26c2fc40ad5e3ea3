-- C07. The life of a position goes from flat to flat on one side of zero: an event of it that leaves the position on
-- the other side, or goes on after it was flat, belongs to another life. And events follow from one another: the
-- position that an event tells is that of the event before it, more or less what the event says (1e-8 for fractions);
-- no event opens a position beside one that is open, and every movement has its event (those of one corporate action
-- one). Where an event tells a wrong position, the next one cannot follow from it: that is no second finding.
SET LOCAL work_mem = '64MB';
DROP TABLE IF EXISTS pg_temp.asked, pg_temp.odd;
CREATE TEMPORARY TABLE asked ON COMMIT DROP AS
SELECT DISTINCT account_id, instrument_id FROM position_events
WHERE business_date BETWEEN %(from_date)s::date AND %(to_date)s::date;
ANALYZE asked;

CREATE TEMPORARY TABLE odd ON COMMIT DROP AS
WITH in_order AS (
    SELECT e.event_uid, e.position_uid, e.broker, e.account_id, e.instrument_id, e.symbol, e.event, e.business_date,
           e.qty,
           e.position_qty, sign(m.qty) AS way, row_number() OVER (
               PARTITION BY e.account_id, e.instrument_id
               ORDER BY e.business_date, coalesce(m.ordered_at, e.at), m.place, m.sequence, m.movement_uid,
               e.event_uid) AS n
    FROM asked JOIN position_events e USING (account_id, instrument_id)
    LEFT JOIN position_movements m
        ON m.movement_uid = CASE right(e.event_uid, 7) WHEN ':OPENED' THEN left(e.event_uid, -7) ELSE e.event_uid END
    WHERE e.business_date <= %(to_date)s::date
), chained AS (
    SELECT *, coalesce(lag(position_qty) OVER one, 0) AS before, lag(event_uid) OVER one AS event_before,
           lag(position_uid) OVER one AS life_before, lag(business_date) OVER one AS date_before
    FROM in_order WINDOW one AS (PARTITION BY account_id, instrument_id ORDER BY n)
), moved AS (
    -- The event says how much, its movement which way.
    SELECT *, qty * coalesce(way, CASE WHEN event IN ('OPENED', 'INCREASED') THEN sign(position_qty)
           ELSE -sign(before) END) AS change
    FROM chained
), off AS (
    SELECT *, position_qty - before - change AS gap,
           coalesce(lag(position_qty - before - change) OVER (PARTITION BY account_id, instrument_id ORDER BY n),
               0) AS gap_before
    FROM moved
)
SELECT *, before + change AS made, life_before = position_uid AND position_qty * before < 0 AS crosses,
       life_before = position_uid AND before = 0 AS goes_on
FROM off o
WHERE business_date >= %(from_date)s::date
  AND (abs(gap) > 1e-8 OR life_before = position_uid AND (before = 0 OR position_qty * before < 0))
  AND (abs(gap_before) <= 1e-8 OR abs(gap + gap_before) > 1e-8)
  -- nor where a movement between them has no event: that is the finding
  AND NOT EXISTS (SELECT FROM position_movements m
                  WHERE m.account_id = o.account_id AND m.instrument_id = o.instrument_id AND abs(m.qty - o.gap) <= 1e-8
                  AND m.business_date BETWEEN coalesce(o.date_before, '-infinity') AND o.business_date
                  AND NOT EXISTS (SELECT FROM position_events e WHERE e.event_uid = m.movement_uid));

SELECT broker, account_id, event_uid AS subject, business_date,
       trim_scale(CASE WHEN abs(gap) > 1e-8 THEN made ELSE 0 END) AS expected, trim_scale(position_qty) AS actual,
       'WARN' AS severity, CASE WHEN crosses OR goes_on THEN 'LIFECYCLE' ELSE 'PIPELINE' END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'symbol', symbol, 'instrument_id', instrument_id, 'position_uid', position_uid, 'event', event,
           'why', CASE WHEN crosses THEN 'the life goes on beyond zero' WHEN goes_on
               THEN 'the life goes on after it was flat'
                       ELSE 'does not follow from the event before' END,
           'position_before', trim_scale(before)::text, 'quantity', trim_scale(qty)::text,
           'position', trim_scale(position_qty)::text,
           'rows', jsonb_build_array(event_uid)
               || CASE WHEN event_before IS NULL THEN '[]' ELSE to_jsonb(ARRAY[event_before]) END))
       AS evidence
FROM odd
UNION ALL
SELECT m.broker, m.account_id, m.movement_uid, m.business_date, trim_scale(m.qty), NULL, 'WARN', 'PIPELINE',
       jsonb_build_object('symbol', m.symbol, 'instrument_id', m.instrument_id, 'why', 'the movement has no event',
                          'rows', jsonb_build_array(m.movement_uid))
FROM position_movements m LEFT JOIN position_events e ON e.event_uid = m.movement_uid
WHERE m.business_date BETWEEN %(from_date)s::date AND %(to_date)s::date AND m.kind <> 'CORPORATE_ACTION' AND m.qty <> 0
  AND e.event_uid IS NULL
ORDER BY 1, 2, 3, 4
