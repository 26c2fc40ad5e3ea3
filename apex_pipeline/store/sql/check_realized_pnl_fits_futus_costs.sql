-- D03. Futu tells no realized gain of securities, but two costs of a position: the average one, of what is held, and
-- the diluted one, (bought - sold since the position was opened) / quantity. So (average - diluted) x quantity x
-- multiplier is what closings gained since then, by Futu's average. Ours is the same by the account's own method: what
-- the average cost puts on the units left instead of our lots' cost is moved between the two, so that first in, first
-- out is no difference.
-- Tolerance: half a cent for each closing, and half of the third decimal of the diluted cost for each unit: samples of
-- real accounts show three. Futu leaves fees out of both costs; a sum that fits with fees, or with the premium of a
-- delivery in the cost of its shares, is no difference either, nor one that fits only together with the life of the
-- position before, if that ended on the day on which this one began.
-- Some snapshots tell one cost twice. So a position is compared if its diluted cost is neither its average cost nor
-- what we know as the cost or the average cost of what is held, and the others of a snapshot with at least two of
-- these. Left out are positions of which the ledger holds another quantity, and all that other rows than known trades
-- and deliveries made: nobody documents what corporate actions, transfers and opening balances do to these costs.
-- A difference is told on the day on which it appears or changes, and again after 31 days.
WITH rows AS (
    SELECT r.account_id, r.business_date, coalesce(r.generated_at, r.fetched_at) AS as_of,
           row ->> 'positionID' AS position_id,
           CASE jsonb_typeof(row -> 'averageCostPrice')
               WHEN 'number' THEN (row ->> 'averageCostPrice')::numeric END AS average,
           CASE jsonb_typeof(row -> 'dilutedCostPrice')
               WHEN 'number' THEN (row ->> 'dilutedCostPrice')::numeric END AS diluted
    FROM positions_raw_futu r CROSS JOIN jsonb_array_elements(r.payload -> 'rows') AS row
    WHERE r.business_date BETWEEN %(from_date)s::date - 31 AND %(to_date)s AND jsonb_typeof(r.payload -> 'rows') = 'array'
), told AS MATERIALIZED (
    -- One position may be told in parts, one for each combination that it is a leg of.
    SELECT p.account_id, i.futu_code AS instrument, p.business_date, r.as_of, p.symbol, max(p.currency) AS currency,
           sum(p.qty) AS qty, CASE WHEN bool_and(r.average IS NOT NULL) THEN sum(r.average * p.qty) END AS average,
           CASE WHEN bool_and(r.diluted IS NOT NULL) THEN sum(r.diluted * p.qty) END AS diluted,
           array_agg(concat_ws('/', 'broker_positions', p.business_date, 'FUTU', p.account_id, p.broker_position_id))
               AS names
    FROM (SELECT DISTINCT account_id, business_date FROM rows) AS s
    JOIN broker_positions p ON p.broker = 'FUTU' AND p.account_id = s.account_id AND p.business_date = s.business_date
    JOIN instruments i ON i.symbol = p.symbol
    LEFT JOIN rows r ON r.account_id = p.account_id AND r.business_date = p.business_date
                    AND r.position_id = p.broker_position_id
    WHERE p.asset_class IN ('STOCK', 'OPTION', 'WARRANT', 'FUND')
    GROUP BY 1, 2, 3, 4, 5
), asked AS (
    SELECT DISTINCT account_id, instrument FROM told WHERE qty <> 0
), parts AS (
    -- `cost`: of what is held, at the prices of its opening; `gain`: of the pieces closed; then the same with fees, and
    -- with fees and the premiums of deliveries. What closes comes before what opens at the same moment, but for its own
    -- lot.
    SELECT l.account_id, l.instrument_id AS instrument, l.opened_at AS at, 1 AS place, l.started_on AS on_date, l.qty,
           l.multiplier, l.qty * l.open_price * l.multiplier AS cost, l.cost_basis + l.carried_pnl AS cost_with_fees,
           l.cost_basis AS cost_with_all, 0 AS gain, 0 AS gain_with_fees, 0 AS gain_with_all, 0 AS closings,
           l.origin IN ('TRADE', 'EXERCISE', 'ASSIGNMENT') AND l.basis_source = 'TRADES' AND l.open_price IS NOT NULL
               AND l.cost_basis IS NOT NULL AS is_plain
    FROM asked a JOIN lots l ON l.account_id = a.account_id AND l.instrument_id = a.instrument
    UNION ALL
    SELECT p.account_id, p.instrument_id, p.closed_at, CASE WHEN p.opened_at = p.closed_at THEN 2 ELSE 0 END, p.closed_on,
           -unit.qty, p.multiplier, -unit.qty * p.open_price * p.multiplier, -p.cost_basis - p.carried_pnl, -p.cost_basis,
           p.realized_pnl - p.carried_pnl + coalesce(p.open_fees, 0) + coalesce(p.close_fees, 0),
           p.realized_pnl - p.carried_pnl, p.realized_pnl, 1,
           p.kind IN ('TRADE', 'EXERCISE', 'ASSIGNMENT', 'EXPIRATION') AND p.basis_source = 'TRADES'
               AND p.lot_uid IS NOT NULL AND p.open_price IS NOT NULL AND p.realized_pnl IS NOT NULL
    FROM asked a JOIN realized_pnl p ON p.account_id = a.account_id AND p.instrument_id = a.instrument
    CROSS JOIN LATERAL (SELECT CASE p.direction WHEN 'LONG' THEN p.qty ELSE -p.qty END AS qty) AS unit
), stream AS (
    -- A told position stands among the moments that made it: joining both sides would be estimated badly.
    SELECT account_id, instrument, at, place, min(on_date) AS on_date, sum(qty) AS qty, max(multiplier) AS multiplier,
           sum(cost) AS cost, sum(cost_with_fees) AS cost_with_fees, sum(cost_with_all) AS cost_with_all,
           sum(cost - gain) AS made, sum(cost_with_fees - gain_with_fees) AS made_with_fees,
           sum(cost_with_all - gain_with_all) AS made_with_all, sum(gain_with_all) AS realized, sum(closings) AS closings,
           bool_and(is_plain AND at IS NOT NULL) AS is_plain, NULL::date AS told_on, NULL AS symbol, NULL AS currency,
           NULL::numeric AS told_qty, NULL::numeric AS average, NULL::numeric AS diluted, NULL::text[] AS names
    FROM parts GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT account_id, instrument, as_of, 3, NULL, 0, NULL, 0, 0, 0, 0, 0, 0, 0, 0, true, business_date, symbol, currency,
           qty, average, diluted, names
    FROM told WHERE qty <> 0
), running AS (
    SELECT *, sum(qty) OVER so_far AS held, sum(made) OVER so_far AS made_so_far FROM stream
    WINDOW so_far AS (PARTITION BY account_id, instrument ORDER BY at, place, told_on ROWS UNBOUNDED PRECEDING)
), lives AS (
    -- A life ends where nothing is left; its last gain is none of the next life. `kept`: the logarithm of the part that a
    -- closing leaves of what was held.
    SELECT *, count(*) FILTER (WHERE is_end) OVER so_far AS life,
           coalesce(lag(made_so_far) OVER (PARTITION BY account_id, instrument, is_end ORDER BY at, place, told_on), 0)
               AS made_until_last_end,
           CASE WHEN place IN (0, 2) AND held / nullif(held - qty, 0) > 0 THEN ln(held / (held - qty)) ELSE 0 END AS kept
    FROM (SELECT *, held = 0 AND place < 3 AS is_end FROM running) AS moments
    WINDOW so_far AS (PARTITION BY account_id, instrument ORDER BY at, place, told_on ROWS UNBOUNDED PRECEDING)
), mixed AS (
    SELECT *, sum(kept) FILTER (WHERE NOT is_end) OVER of_life AS kept_so_far
    FROM lives
    WINDOW of_life AS (PARTITION BY account_id, instrument, life ORDER BY at, place, told_on ROWS UNBOUNDED PRECEDING)
), states AS (
    SELECT *, max(multiplier) OVER of_life AS unit, sum(realized) FILTER (WHERE NOT is_end) OVER of_life AS gained,
           sum(closings) FILTER (WHERE NOT is_end) OVER of_life AS pieces,
           bool_and(is_plain) FILTER (WHERE NOT is_end) OVER of_life AS is_known,
           min(on_date) FILTER (WHERE NOT is_end) OVER of_life AS since,
           min(on_date) FILTER (WHERE is_end) OVER of_life AS ended,
           ARRAY[sum(made) FILTER (WHERE NOT is_end) OVER of_life,
                 sum(made_with_fees) FILTER (WHERE NOT is_end) OVER of_life,
                 sum(made_with_all) FILTER (WHERE NOT is_end) OVER of_life,
                 made_so_far - first_value(made_until_last_end) OVER of_life] AS ways,
           ARRAY[sum(cost) FILTER (WHERE NOT is_end) OVER of_life,
                 sum(cost_with_fees) FILTER (WHERE NOT is_end) OVER of_life,
                 sum(cost_with_all) FILTER (WHERE NOT is_end) OVER of_life,
                 -- the moving average: what was paid for each opening, less the part that each closing after it took
                 exp(kept_so_far) * sum(cost * exp(-kept_so_far)) FILTER (WHERE place = 1) OVER of_life] AS costs
    FROM mixed
    WINDOW of_life AS (PARTITION BY account_id, instrument, life ORDER BY at, place, told_on ROWS UNBOUNDED PRECEDING)
), telling AS (
    SELECT *, count(*) FILTER (WHERE is_apart) OVER (PARTITION BY account_id, told_on) AS apart
    FROM (SELECT s.*, rounding.tolerance,
                 s.average <> s.diluted AND NOT EXISTS (
                     SELECT FROM unnest(s.costs) AS cost
                     WHERE abs(s.diluted * s.unit - cost) <= greatest(rounding.tolerance, abs(cost) * 0.0001)) AS is_apart
          FROM states s
          CROSS JOIN LATERAL (SELECT abs(s.told_qty) * s.unit * 0.0005 + s.pieces * 0.005 AS tolerance) AS rounding
          WHERE s.told_on IS NOT NULL AND s.held = s.told_qty AND s.average IS NOT NULL AND s.diluted IS NOT NULL
            AND s.unit IS NOT NULL AND s.is_known) AS known
), compared AS (
    SELECT t.account_id, t.instrument, t.symbol, t.told_on AS business_date, t.at AS as_of, t.currency, t.told_qty AS qty,
           t.average, t.diluted, t.names, t.unit AS multiplier, t.since, t.life, t.pieces AS closings, t.gained,
           t.tolerance, (t.average - t.diluted) * t.unit AS expected, t.average * t.unit - way.made AS actual,
           t.diluted * t.unit - way.made AS difference
    FROM telling t
    CROSS JOIN LATERAL (
        SELECT made FROM unnest(t.ways) WITH ORDINALITY AS fitting (made, place)
        WHERE place = 1 OR abs(t.diluted * t.unit - made) <= t.tolerance AND (place < 4 OR t.ended = t.since)
        ORDER BY abs(t.diluted * t.unit - made) > t.tolerance, place LIMIT 1
    ) AS way
    WHERE (t.is_apart OR t.apart >= 2)
      AND NOT EXISTS (SELECT FROM lot_moves m WHERE m.account_id = t.account_id AND m.instrument_id = t.instrument)
      AND NOT EXISTS (SELECT FROM ledger_stops l WHERE l.account_id = t.account_id AND l.instrument_id = t.instrument)
), before AS (
    SELECT *, lag(difference) OVER one_life AS last_difference, lag(business_date) OVER one_life AS last_date
    FROM compared WINDOW one_life AS (PARTITION BY account_id, instrument, life ORDER BY business_date)
)
SELECT 'FUTU' AS broker, b.account_id, b.symbol AS subject, b.business_date, trim_scale(round(b.expected, 6)) AS expected,
       trim_scale(round(b.actual, 6)) AS actual, b.currency, 'WARN' AS severity, NULL AS cause,
       jsonb_build_object('symbol', b.symbol, 'qty', trim_scale(b.qty)::text,
                          'multiplier', trim_scale(b.multiplier)::text,
                          'average_cost', trim_scale(round(b.average / b.qty, 10))::text,
                          'diluted_cost', trim_scale(round(b.diluted / b.qty, 10))::text, 'held_since', b.since,
                          'closings', b.closings, 'realized', trim_scale(b.gained)::text,
                          'rows', to_jsonb(b.names[:5]) || coalesce(closed.uids, '[]')) AS evidence
FROM before b
LEFT JOIN LATERAL (
    SELECT jsonb_agg(realized_uid ORDER BY closed_at DESC, realized_uid) AS uids
    FROM (SELECT r.realized_uid, r.closed_at FROM realized_pnl r
          WHERE r.account_id = b.account_id AND r.instrument_id = b.instrument AND r.closed_on >= b.since
            AND r.closed_at <= b.as_of
          ORDER BY r.closed_at DESC, r.realized_uid LIMIT 15) AS newest
) AS closed ON true
WHERE b.business_date BETWEEN %(from_date)s AND %(to_date)s AND abs(b.difference) > b.tolerance
  AND (b.last_date IS NULL OR b.last_date < b.business_date - 31 OR abs(b.difference - b.last_difference) > b.tolerance)
ORDER BY 2, 4, 3
