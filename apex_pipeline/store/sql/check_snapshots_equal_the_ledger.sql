-- E06. A snapshot of positions is what the ledger held at its watermark: all movements up to it, and none after it;
-- quantities are exact (fractions to 1e-8). Two kinds:
-- * made from the ledger (watermark_count is told): compared with the movements up to the watermark, as long as these
--   are as many as then. They become more or fewer when something of before is loaded later; then the snapshot is of
--   another ledger and is not compared. But fewer, when nothing was loaded since, means that the ledger lost some.
-- * told by a broker or an engine: compared once the broker has told of that day, later than the watermark. Ends of
--   options and corporate actions may stand in it or not: brokers book them up to four days later.
-- A difference that only lasts is told once, with the first snapshot that had it: one finding per account and day
-- (UTC).
-- TIMING: the snapshot is what the ledger held at another moment; PIPELINE: it is that of none.
SET LOCAL work_mem = '128MB';
DROP TABLE IF EXISTS snapshot;
DROP TABLE IF EXISTS snapshot_step;
DROP TABLE IF EXISTS snapshot_line;
DROP TABLE IF EXISTS snapshot_difference;
CREATE TEMPORARY TABLE snapshot (
    place bigint, broker text COLLATE "C", account_id text COLLATE "C", captured_at timestamptz, position_count bigint,
    positions jsonb, source text COLLATE "C", mark timestamptz, made_of bigint, n bigint, same_as bigint
) ON COMMIT DROP;
CREATE TEMPORARY TABLE snapshot_step (
    broker text COLLATE "C", account_id text COLLATE "C", instrument_id text COLLATE "C", symbol text COLLATE "C",
    n bigint, qty numeric, movements bigint
) ON COMMIT DROP;
CREATE TEMPORARY TABLE snapshot_line (
    place bigint, instrument_id text COLLATE "C", symbol text COLLATE "C", told numeric, held numeric, is_equal boolean
) ON COMMIT DROP;
CREATE TEMPORARY TABLE snapshot_difference (
    place bigint, instrument_id text COLLATE "C", symbol text COLLATE "C", told numeric, held numeric
) ON COMMIT DROP;

INSERT INTO snapshot (place, broker, account_id, captured_at, position_count, positions, source, mark, made_of, n)
WITH chosen AS (
    SELECT s.* FROM position_snapshots s
    WHERE s.captured_at >= %(from_date)s::date AND s.captured_at < %(to_date)s::date + 1
    UNION ALL
    -- the one before the first tells whether a difference is new
    SELECT before.*
    FROM (SELECT DISTINCT broker, account_id FROM position_snapshots
          WHERE captured_at >= %(from_date)s::date AND captured_at < %(to_date)s::date + 1) AS asked
    CROSS JOIN LATERAL (
        SELECT s.* FROM position_snapshots s
        WHERE s.broker = asked.broker AND s.account_id = asked.account_id AND s.captured_at < %(from_date)s::date
        ORDER BY s.captured_at DESC LIMIT 1) AS before
)
SELECT row_number() OVER (ORDER BY broker, account_id, captured_at), broker, account_id, captured_at, position_count,
       positions, source, mark, watermark_count, dense_rank() OVER (PARTITION BY broker, account_id ORDER BY mark)
FROM chosen CROSS JOIN LATERAL (SELECT coalesce(watermark_at, captured_at) AS mark) AS at;
ANALYZE snapshot;

-- Watermarks are numbered, and a movement counts from the first number on whose watermark is not before it.
INSERT INTO snapshot_step
WITH begun AS (
    SELECT broker, account_id, min(mark) AS mark FROM snapshot GROUP BY 1, 2
), event AS (
    SELECT m.broker, m.account_id, m.instrument_id, m.symbol, at.moment, m.qty, 0 AS marks
    FROM begun b JOIN position_movements m USING (broker, account_id)
    CROSS JOIN LATERAL (SELECT coalesce(m.moved_at, m.ordered_at) AS moment) AS at
    WHERE at.moment > b.mark
    UNION ALL
    SELECT DISTINCT broker, account_id, NULL, NULL, mark, NULL::numeric, 1 FROM snapshot
), numbered AS (
    SELECT e.*, 1 + sum(marks) OVER (PARTITION BY broker, account_id ORDER BY moment, marks ROWS UNBOUNDED PRECEDING) AS n
    FROM event e
)
SELECT m.broker, m.account_id, m.instrument_id, max(m.symbol), 1, sum(m.qty), count(*)
FROM begun b JOIN position_movements m USING (broker, account_id)
WHERE coalesce(m.moved_at, m.ordered_at) <= b.mark GROUP BY 1, 2, 3
UNION ALL
SELECT broker, account_id, instrument_id, max(symbol), n, sum(qty), count(*) FROM numbered WHERE marks = 0
GROUP BY 1, 2, 3, 5;
ANALYZE snapshot_step;

WITH counted AS (
    SELECT n.broker, n.account_id, n.n,
           sum(coalesce(s.movements, 0)) OVER (PARTITION BY broker, account_id ORDER BY n) AS moved
    FROM (SELECT DISTINCT broker, account_id, n FROM snapshot) AS n
    LEFT JOIN (SELECT broker, account_id, n, sum(movements) AS movements FROM snapshot_step GROUP BY 1, 2, 3) AS s
        USING (broker, account_id, n)
), compared AS (
    SELECT s.place, min(c.n) OVER (PARTITION BY c.broker, c.account_id, c.moved) AS n
    FROM snapshot s JOIN counted c USING (broker, account_id, n)
    WHERE is_comparable(s.broker, s.account_id, s.captured_at, s.mark, s.made_of, c.moved)
)
UPDATE snapshot s SET n = c.n FROM (SELECT place FROM snapshot) AS every LEFT JOIN compared c USING (place)
WHERE every.place = s.place;
DELETE FROM snapshot WHERE n IS NULL;

-- Most snapshots say the same as the one before: of those of a day that agree in quantities and stand between the same
-- movements, the first is looked at.
WITH said AS (
    SELECT s.place, min(s.place) OVER (PARTITION BY s.broker, s.account_id, s.n, s.made_of IS NULL,
                                                    (s.captured_at AT TIME ZONE 'UTC')::date, words.digest) AS first
    FROM snapshot s
    CROSS JOIN LATERAL (
        SELECT md5(string_agg(concat_ws('|', p ->> 'symbol', p ->> 'instrument_id', p ->> 'qty', p ->> 'asset_class'),
                              chr(10))) AS digest
        FROM jsonb_array_elements(s.positions) AS p) AS words
)
UPDATE snapshot s SET same_as = said.first FROM said WHERE said.place = s.place;
ANALYZE snapshot;

INSERT INTO snapshot_line
WITH running AS (
    SELECT broker, account_id, instrument_id, symbol, n, sum(qty) OVER one AS qty, lead(n) OVER one AS next
    FROM snapshot_step WINDOW one AS (PARTITION BY broker, account_id, instrument_id ORDER BY n)
), lasting AS MATERIALIZED (
    SELECT r.broker, r.account_id, r.instrument_id, r.symbol, r.qty, n.n
    FROM running r CROSS JOIN LATERAL generate_series(r.n, coalesce(r.next - 1, (SELECT max(n) FROM snapshot))) AS n (n)
    WHERE r.qty <> 0
), held AS (
    SELECT s.place, l.instrument_id, l.symbol, l.qty
    FROM lasting l JOIN snapshot s USING (broker, account_id, n)
    WHERE s.place = s.same_as
), names AS (
    SELECT DISTINCT ON (broker, account_id, symbol) broker, account_id, symbol, instrument_id
    FROM snapshot_step ORDER BY broker, account_id, symbol, n DESC
), told AS (
    -- by the broker's own id where the ledger knows it, else by the name
    SELECT s.place, coalesce(own.instrument_id, named.instrument_id, line.symbol) AS instrument_id,
           max(line.symbol) AS symbol, CASE WHEN bool_and(line.qty IS NOT NULL) THEN sum(line.qty) END AS qty
    FROM snapshot s
    CROSS JOIN LATERAL told_positions(s.positions) AS line
    LEFT JOIN (SELECT DISTINCT broker, account_id, instrument_id FROM snapshot_step) AS own
           ON own.broker = s.broker AND own.account_id = s.account_id AND own.instrument_id = line.instrument_id
    LEFT JOIN names named ON named.broker = s.broker AND named.account_id = s.account_id AND named.symbol = line.symbol
    WHERE s.place = s.same_as
    GROUP BY 1, 2
)
SELECT place, instrument_id, coalesce(t.symbol, h.symbol), both_sides.told, both_sides.held,
       coalesce(abs(both_sides.told - both_sides.held) <= 1e-8, false)
FROM told t FULL JOIN held h USING (place, instrument_id)
CROSS JOIN LATERAL (SELECT CASE WHEN t.place IS NULL THEN 0 ELSE t.qty END AS told, coalesce(h.qty, 0) AS held) AS both_sides;

ANALYZE snapshot_line;

INSERT INTO snapshot_difference
SELECT s.place, l.instrument_id, l.symbol, l.told, l.held
FROM snapshot_line l JOIN snapshot s ON s.same_as = l.place
WHERE NOT l.is_equal AND NOT may_differ(
    s.broker, s.account_id, l.instrument_id, s.captured_at, s.mark, s.made_of IS NOT NULL, l.told, l.held);

WITH lines AS (
    SELECT place, string_agg(instrument_id || ' ' || coalesce(trim_scale(told - held)::text, '?'), ' '
                             ORDER BY instrument_id) AS differing
    FROM snapshot_difference GROUP BY place
), state AS (
    SELECT s.place, s.broker, s.account_id, s.captured_at, (s.captured_at AT TIME ZONE 'UTC')::date AS on_date,
           concat_ws(' ', CASE WHEN s.position_count <> held.positions
                               THEN 'count ' || s.position_count - held.positions END, l.differing) AS differing
    FROM snapshot s
    CROSS JOIN LATERAL (SELECT jsonb_array_length(s.positions) AS positions) AS held
    LEFT JOIN lines l USING (place)
), changed AS (
    SELECT s.*, s.differing <> '' AND s.differing IS DISTINCT FROM lag(s.differing) OVER one AS is_new
    FROM state s WINDOW one AS (PARTITION BY broker, account_id ORDER BY captured_at)
), runs AS (
    -- the snapshots that go on with a difference belong to the day on which it began
    SELECT c.*, max(on_date) FILTER (WHERE is_new) OVER one AS began_on
    FROM changed c WINDOW one AS (PARTITION BY broker, account_id ORDER BY captured_at)
), found AS (
    SELECT broker, account_id, began_on AS on_date, min(place) FILTER (WHERE is_new) AS place, count(*) AS snapshots,
           max(captured_at) AS last_at,
           jsonb_agg(jsonb_build_object('do', 'delete', 'table', 'position_snapshots', 'key', jsonb_build_object(
               'broker', broker, 'account_id', account_id, 'captured_at', captured_at)) ORDER BY captured_at) AS without
    FROM runs WHERE differing <> '' AND began_on BETWEEN %(from_date)s AND %(to_date)s GROUP BY 1, 2, 3
)
SELECT f.broker, f.account_id, 'positions of ' || f.account_id AS subject, f.on_date AS business_date,
       CASE WHEN lines.differing > 0 THEN lines.all_of_them ELSE s.position_count END::numeric AS expected,
       CASE WHEN lines.differing > 0 THEN lines.all_of_them - lines.differing
            ELSE jsonb_array_length(s.positions) END::numeric AS actual,
       'ERROR' AS severity,
       CASE WHEN stale.until IS NOT NULL OR lines.is_ahead THEN 'TIMING' ELSE 'PIPELINE' END AS cause,
       jsonb_build_object(
           'captured_at', s.captured_at, 'source', s.source, 'watermark_at', s.mark, 'watermark_count', s.made_of,
           'position_count', s.position_count, 'positions', jsonb_array_length(s.positions), 'snapshots', f.snapshots,
           'last', f.last_at, 'stale_since', stale.until, 'differences', lines.told,
           'rows', to_jsonb(concat_ws('/', 'position_snapshots', s.broker, s.account_id,
                                      to_jsonb(s.captured_at) #>> '{}'))
                   || coalesce(moved.rows, '[]'))
       || CASE WHEN f.snapshots <= 20 THEN jsonb_build_object('set_right', f.without) ELSE '{}' END AS evidence
FROM found f
JOIN snapshot s ON s.place = f.place
CROSS JOIN LATERAL (
    SELECT (SELECT count(*) FROM snapshot_line a WHERE a.place = s.same_as) AS all_of_them, count(*) AS differing,
           array_agg(d.instrument_id ORDER BY d.instrument_id) AS instruments,
           array_agg(d.told ORDER BY d.instrument_id) AS quantities,
           bool_and(abs(d.told - d.held - later.qty) <= 1e-8) AS is_ahead,
           jsonb_agg(jsonb_build_object('symbol', d.symbol, 'instrument_id', d.instrument_id,
                                        'ledger', trim_scale(d.held)::text, 'snapshot', trim_scale(d.told)::text)
                     ORDER BY d.symbol) AS told
    FROM snapshot_difference d
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(m.qty), 0) AS qty FROM position_movements m
        WHERE m.account_id = s.account_id AND m.instrument_id = d.instrument_id AND m.broker = s.broker
          AND coalesce(m.moved_at, m.ordered_at) > s.mark
          AND coalesce(m.moved_at, m.ordered_at) <= s.captured_at) AS later
    WHERE d.place = s.place
) AS lines
CROSS JOIN LATERAL (
    SELECT held_until(s.broker, s.account_id, s.mark, lines.instruments, lines.quantities) AS until) AS stale
CROSS JOIN LATERAL (
    SELECT jsonb_agg(newest.movement_uid ORDER BY newest.at DESC) AS rows
    FROM (SELECT m.movement_uid, coalesce(m.moved_at, m.ordered_at) AS at FROM position_movements m
          WHERE m.account_id = s.account_id AND m.instrument_id = ANY (lines.instruments) AND m.broker = s.broker
            AND coalesce(m.moved_at, m.ordered_at) <= s.captured_at
          ORDER BY at DESC, m.movement_uid LIMIT 19) AS newest
) AS moved
ORDER BY 1, 2, 4
