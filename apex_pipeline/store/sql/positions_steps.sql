-- The movements of the instruments in scope in their order, with the position before and after each. What was held
-- before the first is a step of its own (`held`). `life` and `life_before` are the steps with which the positions began,
-- and such a step `begins` one.
CREATE TEMPORARY TABLE IF NOT EXISTS position_scope (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C", from_day date NOT NULL,
    held_uid text COLLATE "C", held_qty numeric, lot_qty numeric, cost numeric, unknown_qty numeric
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS position_steps (
    LIKE position_movements,
    held boolean NOT NULL, n bigint NOT NULL, qty_before numeric NOT NULL, qty_after numeric NOT NULL,
    begins boolean NOT NULL, life bigint, life_before bigint
) ON COMMIT DROP;
TRUNCATE position_steps;
INSERT INTO position_steps
WITH moved AS (
    SELECT m.*, false AS held
    FROM position_scope s JOIN position_movements m USING (account_id, instrument_id)
    WHERE m.business_date >= s.from_day AND m.business_date >= %(since)s::date AND m.kind <> 'CORPORATE_ACTION'
    UNION ALL
    -- The rows of one corporate action on one instrument are one step, of the first that went its way: a reversal is none.
    SELECT (jsonb_populate_record(e.first, jsonb_build_object('qty', e.qty))).*, false
    FROM (SELECT DISTINCT ON (a.account_id, a.instrument_id, a.business_date, a.event) a.row AS first, a.whole AS qty
          FROM (SELECT m AS row, m.*, coalesce(m.link_id, m.movement_uid) AS event,
                       sum(m.qty) OVER (PARTITION BY m.account_id, m.instrument_id, m.business_date,
                                                     coalesce(m.link_id, m.movement_uid)) AS whole
                FROM position_scope s JOIN position_movements m USING (account_id, instrument_id)
                WHERE m.business_date >= s.from_day AND m.business_date >= %(since)s::date
                  AND m.kind = 'CORPORATE_ACTION') AS a
          WHERE a.qty * a.whole > 0
          ORDER BY a.account_id, a.instrument_id, a.business_date, a.event, a.ordered_at, a.place, a.sequence,
                   a.movement_uid) AS e
    UNION ALL
    SELECT (jsonb_populate_record(last.row, jsonb_build_object(
               'qty', s.held_qty, 'multiplier', coalesce((last.row).multiplier, unit.multiplier),
               'currency', coalesce((last.row).currency, money.currency)))).*, true
    FROM position_scope s
    CROSS JOIN LATERAL (
        SELECT m AS row FROM position_movements m
        WHERE m.account_id = s.account_id AND m.instrument_id = s.instrument_id AND m.business_date < s.from_day
        ORDER BY m.business_date DESC, m.ordered_at DESC, m.place DESC, m.sequence DESC, m.movement_uid DESC
        LIMIT 1) last
    LEFT JOIN LATERAL (
        SELECT m.multiplier FROM position_movements m
        WHERE m.account_id = s.account_id AND m.instrument_id = s.instrument_id AND m.business_date < s.from_day
          AND m.multiplier IS NOT NULL
        ORDER BY m.business_date DESC, m.ordered_at DESC, m.place DESC, m.sequence DESC, m.movement_uid DESC
        LIMIT 1) unit ON true
    LEFT JOIN LATERAL (
        SELECT m.currency FROM position_movements m
        WHERE m.account_id = s.account_id AND m.instrument_id = s.instrument_id AND m.business_date < s.from_day
          AND m.currency IS NOT NULL
        ORDER BY m.business_date DESC, m.ordered_at DESC, m.place DESC, m.sequence DESC, m.movement_uid DESC
        LIMIT 1) money ON true
    WHERE s.held_qty <> 0
), counted AS (
    SELECT m.*, row_number() OVER (ORDER BY m.account_id, m.instrument_id, m.business_date, m.ordered_at, m.place,
                                            m.sequence, m.movement_uid) AS n,
           coalesce(sum(m.qty) OVER (in_order ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS qty_before,
           sum(m.qty) OVER (in_order ROWS UNBOUNDED PRECEDING) AS qty_after
    FROM moved m
    WINDOW in_order AS (PARTITION BY m.account_id, m.instrument_id
                        ORDER BY m.business_date, m.ordered_at, m.place, m.sequence, m.movement_uid)
), begun AS (
    SELECT c.*, sign(c.qty_after) <> 0 AND sign(c.qty_before) <> sign(c.qty_after) AS begins FROM counted c
), lived AS (
    SELECT b.*, max(b.n) FILTER (WHERE b.begins) OVER (
               PARTITION BY b.account_id, b.instrument_id ORDER BY b.n ROWS UNBOUNDED PRECEDING) AS life
    FROM begun b
)
SELECT l.*, lag(l.life) OVER (PARTITION BY l.account_id, l.instrument_id ORDER BY l.n) FROM lived l;
ANALYZE position_steps
