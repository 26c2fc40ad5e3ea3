-- E07. An engine that starts with the newest snapshot of an account and adds what moved since must hold what the whole
-- ledger holds now, to 1e-8. Only a snapshot from which it could start is compared, by the rules of E06: one that the
-- ledger made and that has not become another one behind its watermark, or one of a broker or engine of whose day the
-- broker has told since. A finding is of the day (UTC) of that snapshot. TIMING: the snapshot is what the ledger held
-- until an earlier moment.
WITH newest AS MATERIALIZED (
    SELECT s.*, coalesce(s.watermark_at, s.captured_at) AS mark
    FROM (SELECT DISTINCT broker, account_id FROM position_snapshots
          WHERE captured_at >= %(from_date)s::date AND captured_at < %(to_date)s::date + 1) AS asked
    CROSS JOIN LATERAL (
        SELECT p.* FROM position_snapshots p WHERE p.broker = asked.broker AND p.account_id = asked.account_id
        ORDER BY p.captured_at DESC LIMIT 1) AS s
    WHERE s.captured_at < %(to_date)s::date + 1
), moved AS MATERIALIZED (
    SELECT s.broker, s.account_id, m.instrument_id, max(m.symbol) AS symbol, max(m.business_date) AS last_on,
           sum(m.qty) AS held, count(*) FILTER (WHERE at.moment <= s.mark) AS movements,
           coalesce(sum(m.qty) FILTER (WHERE at.moment > s.mark), 0) AS since
    FROM newest s
    JOIN position_movements m ON m.account_id = s.account_id AND m.broker = s.broker
    CROSS JOIN LATERAL (SELECT coalesce(m.moved_at, m.ordered_at) AS moment) AS at
    GROUP BY 1, 2, 3
), compared AS MATERIALIZED (
    SELECT s.* FROM newest s
    CROSS JOIN LATERAL (SELECT coalesce(sum(m.movements), 0) AS movements FROM moved m
                        WHERE m.broker = s.broker AND m.account_id = s.account_id) AS now
    WHERE is_comparable(s.broker, s.account_id, s.captured_at, s.mark, s.watermark_count, now.movements)
), names AS (
    SELECT DISTINCT ON (broker, account_id, symbol) broker, account_id, symbol, instrument_id
    FROM moved ORDER BY broker, account_id, symbol, last_on DESC
), told AS (
    -- by the broker's own id where the ledger knows it, else by the name
    SELECT s.broker, s.account_id, coalesce(own.instrument_id, named.instrument_id, line.symbol) AS instrument_id,
           max(line.symbol) AS symbol, CASE WHEN bool_and(line.qty IS NOT NULL) THEN sum(line.qty) END AS qty
    FROM compared s
    CROSS JOIN LATERAL told_positions(s.positions) AS line
    LEFT JOIN moved own ON own.broker = s.broker AND own.account_id = s.account_id
                       AND own.instrument_id = line.instrument_id
    LEFT JOIN names named ON named.broker = s.broker AND named.account_id = s.account_id AND named.symbol = line.symbol
    GROUP BY 1, 2, 3
), lines AS MATERIALIZED (
    SELECT broker, account_id, instrument_id, coalesce(t.symbol, m.symbol) AS symbol,
           CASE WHEN t.broker IS NULL THEN 0 ELSE t.qty END AS told, coalesce(m.since, 0) AS since,
           coalesce(m.held, 0) AS held
    FROM told t
    FULL JOIN (SELECT m.* FROM moved m JOIN compared USING (broker, account_id) WHERE m.held <> 0 OR m.since <> 0) AS m
        USING (broker, account_id, instrument_id)
), differing AS MATERIALIZED (
    SELECT l.*, s.mark FROM lines l JOIN compared s USING (broker, account_id)
    WHERE (abs(l.told + l.since - l.held) <= 1e-8) IS NOT TRUE
      AND NOT may_differ(l.broker, l.account_id, l.instrument_id, s.captured_at, s.mark, s.watermark_count IS NOT NULL,
                         l.told, l.held - l.since)
), found AS (
    SELECT broker, account_id, count(*) AS differing, array_agg(instrument_id ORDER BY instrument_id) AS instruments,
           array_agg(told ORDER BY instrument_id) AS quantities,
           jsonb_agg(jsonb_build_object('symbol', symbol, 'instrument_id', instrument_id,
                                        'snapshot', trim_scale(told)::text, 'since', trim_scale(since)::text,
                                        'warm', trim_scale(told + since)::text, 'cold', trim_scale(held)::text)
                     ORDER BY symbol) AS told
    FROM differing GROUP BY 1, 2
)
SELECT s.broker, s.account_id, 'positions of ' || s.account_id AS subject,
       (s.captured_at AT TIME ZONE 'UTC')::date AS business_date, every.positions::numeric AS expected,
       (every.positions - f.differing)::numeric AS actual, 'ERROR' AS severity,
       CASE WHEN stale.until IS NOT NULL THEN 'TIMING' ELSE 'PIPELINE' END AS cause,
       jsonb_build_object(
           'captured_at', s.captured_at, 'source', s.source, 'watermark_at', s.mark,
           'watermark_count', s.watermark_count, 'stale_since', stale.until, 'differences', f.told,
           'rows', to_jsonb(concat_ws('/', 'position_snapshots', s.broker, s.account_id,
                                      to_jsonb(s.captured_at) #>> '{}'))
                   || coalesce(tail.rows, '[]')) AS evidence
FROM found f
JOIN compared s USING (broker, account_id)
CROSS JOIN LATERAL (SELECT count(*) AS positions FROM lines l
                    WHERE l.broker = s.broker AND l.account_id = s.account_id) AS every
CROSS JOIN LATERAL (SELECT held_until(s.broker, s.account_id, s.mark, f.instruments, f.quantities) AS until) AS stale
CROSS JOIN LATERAL (
    SELECT jsonb_agg(last.movement_uid ORDER BY last.at DESC) AS rows
    FROM (SELECT m.movement_uid, coalesce(m.moved_at, m.ordered_at) AS at FROM position_movements m
          WHERE m.account_id = s.account_id AND m.instrument_id = ANY (f.instruments) AND m.broker = s.broker
          ORDER BY at DESC, m.movement_uid LIMIT 19) AS last
) AS tail
ORDER BY 1, 2
