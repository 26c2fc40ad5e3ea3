-- What the ledger says of a snapshot of positions: what it held of each instrument at the watermark, what moved since, and
-- whether the two may differ (the rules of E06 and E07). Instruments of which there is nothing to say are left out: those
-- that did not move and are named and held as told. The first columns are the same in every row; without any instrument
-- there is one row.
WITH chosen AS MATERIALIZED (
    SELECT s.*, mark.at AS mark,
           s.watermark_count IS NULL
           AND NOT is_comparable(s.broker, s.account_id, s.captured_at, mark.at, NULL, 0) AS is_ahead
    FROM position_snapshots s CROSS JOIN LATERAL (SELECT coalesce(s.watermark_at, s.captured_at) AS at) AS mark
    WHERE s.broker = %(broker)s AND s.account_id = %(account_id)s AND s.captured_at = %(captured_at)s
), moved AS MATERIALIZED (
    SELECT m.instrument_id, max(m.symbol) AS symbol, max(m.asset_class) AS asset_class, max(m.currency) AS currency,
           max(m.business_date) AS last_on, count(*) FILTER (WHERE at.moment <= s.mark) AS movements,
           coalesce(sum(m.qty) FILTER (WHERE at.moment <= s.mark), 0) AS held,
           coalesce(sum(m.qty) FILTER (WHERE at.moment > s.mark), 0) AS since,
           bool_or(at.moment > s.mark AND at.moment <= s.mark + interval '1 day'
                   AND m.kind IN ('EXERCISE', 'ASSIGNMENT', 'EXPIRATION', 'CORPORATE_ACTION', 'TRANSFER')) AS is_late
    FROM chosen s
    JOIN position_movements m ON m.account_id = s.account_id AND m.broker = s.broker
    CROSS JOIN LATERAL (SELECT coalesce(m.moved_at, m.ordered_at) AS moment) AS at
    -- what nothing can be compared with is not added up
    WHERE NOT s.is_ahead OR m.business_date >= (s.mark AT TIME ZONE 'UTC')::date - 7
    GROUP BY 1
), verdict AS MATERIALIZED (
    SELECT s.broker, s.account_id, s.captured_at, s.mark, s.watermark_count, n.movements,
           NOT s.is_ahead
           AND is_comparable(s.broker, s.account_id, s.captured_at, s.mark, s.watermark_count, n.movements) AS is_comparable
    FROM chosen s CROSS JOIN (SELECT coalesce(sum(movements), 0)::bigint AS movements FROM moved) AS n
), names AS (
    SELECT DISTINCT ON (symbol) symbol, instrument_id FROM moved ORDER BY symbol, last_on DESC
), told AS (
    -- by the broker's own id where the ledger knows it, else by the name
    SELECT coalesce(own.instrument_id, named.instrument_id, line.instrument_id,
                    CASE s.broker WHEN 'FUTU' THEN i.futu_code ELSE i.ib_conid END, line.symbol) AS instrument_id,
           max(line.symbol) AS symbol, count(*) AS positions, sum(line.qty) AS qty,
           bool_and(line.instrument_id IS NOT NULL) AS has_id
    FROM chosen s
    CROSS JOIN LATERAL told_positions(s.positions) AS line
    LEFT JOIN instruments i ON i.symbol = line.symbol
    LEFT JOIN moved own ON own.instrument_id = line.instrument_id
    LEFT JOIN names named ON named.symbol = line.symbol
    GROUP BY 1
), line AS MATERIALIZED (
    SELECT instrument_id, coalesce(t.symbol, m.symbol) AS symbol, m.asset_class, m.currency, t.symbol AS told_symbol,
           coalesce(t.positions, 0) AS told_rows, coalesce(t.qty, 0) AS told, coalesce(m.held, 0) AS held,
           coalesce(m.since, 0) AS since, coalesce(m.is_late, false) AS may_be_told_twice,
           coalesce(t.has_id, false) AS has_id
    FROM told t
    FULL JOIN (SELECT m.* FROM moved m CROSS JOIN verdict v WHERE m.since <> 0 OR (v.is_comparable AND m.held <> 0)) AS m
        USING (instrument_id)
)
SELECT v.movements, v.is_comparable, l.instrument_id, l.symbol, l.asset_class, l.currency, l.told_symbol, l.told_rows,
       l.told, l.held, l.since, l.may_be_told_twice,
       CASE WHEN v.is_comparable AND abs(l.told - l.held) > 1e-8
            THEN may_differ(v.broker, v.account_id, l.instrument_id, v.captured_at, v.mark,
                            v.watermark_count IS NOT NULL, l.told, l.held)
            ELSE false END AS may_differ,
       d.qty AS cost_qty, d.avg_cost
FROM verdict v
LEFT JOIN line l ON l.since <> 0 OR l.told_rows > 1 OR NOT l.has_id OR (v.is_comparable AND l.told <> l.held)
LEFT JOIN LATERAL (
    SELECT p.qty, p.avg_cost FROM positions_daily p
    WHERE p.account_id = v.account_id AND p.instrument_id = l.instrument_id AND (l.since <> 0 OR l.told <> l.held)
    ORDER BY p.business_date DESC LIMIT 1
) AS d ON true
ORDER BY l.symbol, l.instrument_id
