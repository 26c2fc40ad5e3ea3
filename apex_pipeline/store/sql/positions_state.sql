-- What was held before each instrument in scope begins, and the cost of the lots that were open then. `since` is the
-- first day of all: with it the planner knows how little there is to read.
CREATE TEMPORARY TABLE IF NOT EXISTS position_scope (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C", from_day date NOT NULL,
    held_uid text COLLATE "C", held_qty numeric, lot_qty numeric, cost numeric, unknown_qty numeric
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS unknown_lots (lot_uid text COLLATE "C" PRIMARY KEY) ON COMMIT DROP;
TRUNCATE unknown_lots;
WITH last_days AS MATERIALIZED (
    SELECT s.account_id, s.instrument_id, (
        SELECT max(e.business_date) FROM position_events e
        WHERE e.account_id = s.account_id AND e.instrument_id = s.instrument_id
          AND e.business_date < s.from_day) AS on_date
    FROM position_scope s
), last_events AS (
    SELECT DISTINCT ON (d.account_id, d.instrument_id) d.account_id, d.instrument_id, e.position_uid, e.position_qty
    FROM last_days d
    JOIN position_events e
        ON e.account_id = d.account_id AND e.instrument_id = d.instrument_id AND e.business_date = d.on_date
    JOIN position_movements m
        ON m.movement_uid = CASE right(e.event_uid, 7) WHEN ':OPENED' THEN left(e.event_uid, -7) ELSE e.event_uid END
    ORDER BY d.account_id, d.instrument_id, m.ordered_at DESC, m.place DESC, m.sequence DESC, m.movement_uid DESC,
             e.event_uid DESC
)
UPDATE position_scope s SET held_uid = e.position_uid, held_qty = e.position_qty
FROM last_events e
WHERE e.account_id = s.account_id AND e.instrument_id = s.instrument_id AND e.position_qty <> 0;
INSERT INTO unknown_lots
SELECT l.lot_uid FROM lots l JOIN position_scope s USING (account_id, instrument_id)
WHERE (l.cost_basis IS NULL OR l.remaining_cost IS NULL) AND (l.closed_on IS NULL OR l.closed_on >= s.from_day)
UNION
SELECT r.lot_uid FROM realized_pnl r JOIN position_scope s USING (account_id, instrument_id)
WHERE r.cost_basis IS NULL AND r.lot_uid IS NOT NULL AND r.closed_on >= s.from_day
  AND r.closed_on >= %(since)s::date
UNION
SELECT v.lot_uid FROM lot_moves v JOIN position_scope s USING (account_id, instrument_id)
WHERE v.cost_basis IS NULL AND v.moved_on >= s.from_day;
ANALYZE unknown_lots;
-- What was open before: what is open now or was closed since, and the parts that left since.
WITH open_before AS MATERIALIZED (
    SELECT l.account_id, l.instrument_id, s.from_day, l.lot_uid, l.remaining_qty, l.remaining_cost
    FROM lots l JOIN position_scope s USING (account_id, instrument_id)
    WHERE l.started_on < s.from_day AND (l.closed_on IS NULL OR l.closed_on >= s.from_day)
), units AS (
    SELECT account_id, instrument_id, lot_uid, remaining_qty AS qty, remaining_cost AS cost FROM open_before
    UNION ALL
    SELECT l.account_id, l.instrument_id, l.lot_uid, CASE r.direction WHEN 'LONG' THEN r.qty ELSE -r.qty END, r.cost_basis
    FROM open_before l JOIN realized_pnl r
        ON r.account_id = l.account_id AND r.instrument_id = l.instrument_id AND r.closed_on >= l.from_day
        AND r.closed_on >= %(since)s::date
        AND r.lot_uid = l.lot_uid
    UNION ALL
    SELECT l.account_id, l.instrument_id, l.lot_uid, v.qty, v.cost_basis
    FROM open_before l JOIN lot_moves v
        ON v.account_id = l.account_id AND v.instrument_id = l.instrument_id AND v.moved_on >= l.from_day
        AND v.lot_uid = l.lot_uid
), sums AS (
    SELECT t.account_id, t.instrument_id, sum(t.qty) AS lot_qty, sum(t.cost) FILTER (WHERE u.lot_uid IS NULL) AS cost,
           sum(abs(t.qty)) FILTER (WHERE u.lot_uid IS NOT NULL) AS unknown_qty
    FROM units t LEFT JOIN unknown_lots u USING (lot_uid)
    GROUP BY 1, 2
)
UPDATE position_scope s SET lot_qty = t.lot_qty, cost = t.cost, unknown_qty = t.unknown_qty
FROM sums t WHERE t.account_id = s.account_id AND t.instrument_id = s.instrument_id
