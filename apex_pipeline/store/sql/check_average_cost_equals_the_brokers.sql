-- C04. The average cost of every position that a broker tells, within one in ten thousand (the bound on average prices)
-- or a cent of the whole, where the quantity agrees and our basis is known; another quantity is the finding of C02.
-- IB: what a unit costs with fees, against positions_daily, at the end of the day of a statement; not bonds, whose
-- prices are no money per unit, nor what TWS tells before, and not on days between a trade and its report or cancel.
-- Futu: its average cost is by its own convention the moving average of the prices at which the position was opened and
-- increased, without fees; closing leaves it as it is. It is worked out for the instant of the snapshot, rounded as
-- Futu rounds it, and not known where a position began or grew otherwise than by a trade: how Futu counts that nobody
-- says. Where it agrees with the same with fees, or with our lots, it is by another habit of the entity and no finding;
-- otherwise look at it (WARN): nothing else that Futu tells of a security proves it. A difference is a finding of the
-- day on which it appeared or grew: closing parts of a position makes it smaller.
SET LOCAL work_mem = '64MB';
DROP TABLE IF EXISTS pg_temp.snapshots, pg_temp.told, pg_temp.steps, pg_temp.averages, pg_temp.differing;
CREATE TEMPORARY TABLE snapshots ON COMMIT DROP AS
WITH all_told AS (
    SELECT 'FUTU' COLLATE "C" AS broker, account_id, business_date, max(coalesce(generated_at, fetched_at)) AS as_of
    FROM positions_raw_futu WHERE business_date <= %(to_date)s::date GROUP BY account_id, business_date
    UNION ALL
    SELECT 'IB', account_id, business_date, max(coalesce(generated_at, fetched_at))
    FROM positions_raw_ib WHERE business_date <= %(to_date)s::date AND record_key NOT LIKE 'tws:%%'
    GROUP BY account_id, business_date
), readable AS (
    SELECT t.*, max(business_date) FILTER (WHERE business_date < %(from_date)s::date)
                OVER (PARTITION BY broker, account_id) AS before
    FROM all_told t
    WHERE NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = t.broker AND q.kind = 'positions'
                      AND q.account_id = t.account_id AND q.business_date = t.business_date AND q.resolved_at IS NULL)
)
SELECT broker, account_id, business_date, as_of,
       row_number() OVER (PARTITION BY broker, account_id ORDER BY business_date)::int AS n
FROM readable WHERE business_date >= %(from_date)s::date OR business_date = before;
ANALYZE snapshots;

CREATE TEMPORARY TABLE told ON COMMIT DROP AS
SELECT s.broker, s.account_id, s.n, s.business_date, s.as_of,
       CASE s.broker WHEN 'IB' THEN p.broker_position_id ELSE p.symbol END AS instrument, max(p.symbol) AS symbol,
       sum(p.qty) AS qty, CASE WHEN count(p.average_cost) = count(*)
           THEN sum(p.average_cost * p.qty) / nullif(sum(p.qty), 0) END AS average,
       max(scale(p.average_cost)) AS places, max(p.currency) AS currency
FROM snapshots s JOIN broker_positions p USING (business_date, broker, account_id)
WHERE p.asset_class NOT IN ('FX', 'COMBO', 'BOND') AND p.source <> 'TWS'
GROUP BY 1, 2, 3, 4, 5, 6;
DELETE FROM told WHERE average IS NULL;
ANALYZE told (broker, account_id, instrument, business_date);

-- The movements of what Futu told, in their order; a position that was flat, or crosses zero, begins anew. Positions
-- that ended before the first snapshot do not matter.
CREATE TEMPORARY TABLE steps ON COMMIT DROP AS
WITH asked AS (
    SELECT account_id, instrument, min(as_of) AS first_told,
           row_number() OVER (ORDER BY account_id, instrument)::int AS item
    FROM told WHERE broker = 'FUTU' GROUP BY 1, 2
), moved AS (
    SELECT a.account_id, a.instrument, a.item, a.first_told, m.instrument_id, m.qty, m.price,
           coalesce(m.fees, 0) / m.multiplier AS fees,
           m.kind NOT IN ('TRADE', 'OTHER') AND m.qty * sum(m.qty) OVER one > 0 AS is_unpriced,
           coalesce(m.moved_at, m.ordered_at) AS at,
           row_number() OVER one AS n, sum(m.qty) OVER one AS qty_after
    FROM asked a JOIN position_movements m ON m.account_id = a.account_id AND m.symbol = a.instrument
        AND m.broker = 'FUTU'
    WHERE m.business_date <= %(to_date)s::date + 1
    WINDOW one AS (PARTITION BY a.item ORDER BY m.business_date, m.ordered_at, m.place, m.sequence, m.movement_uid
                   ROWS UNBOUNDED PRECEDING)
), begun AS (
    SELECT *, qty_after <> 0 AND (qty_after - qty) * qty_after <= 0 AS begins FROM moved
), lived AS (
    SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY item ORDER BY n) AS life FROM begun
)
SELECT *, max(at) OVER (PARTITION BY item, life) AS last_at, lead(at) OVER (PARTITION BY item ORDER BY n) AS next_at
FROM lived;
DELETE FROM steps s WHERE last_at < first_told AND EXISTS (SELECT FROM steps l WHERE l.item = s.item AND l.life > s.life
                                                           AND l.begins AND l.at <= s.first_told);
CREATE UNIQUE INDEX ON steps (item, n);
CREATE INDEX ON steps (item, at, n);
ANALYZE steps (item);

CREATE TEMPORARY TABLE averages ON COMMIT DROP AS
WITH RECURSIVE cost AS (
    SELECT item, n, at, qty_after, CASE WHEN NOT is_unpriced THEN price END AS average,
           CASE WHEN NOT is_unpriced THEN price + fees / qty END AS with_fees
    FROM steps WHERE begins
    UNION ALL
    SELECT s.item, s.n, s.at, s.qty_after,
           CASE WHEN s.is_unpriced THEN NULL WHEN s.qty * c.qty_after < 0 THEN c.average
                ELSE round((c.average * c.qty_after + s.price * s.qty) / s.qty_after, 16) END,
           CASE WHEN s.is_unpriced THEN NULL WHEN s.qty * c.qty_after < 0 THEN c.with_fees
                ELSE round((c.with_fees * c.qty_after + s.price * s.qty + s.fees) / s.qty_after, 16) END
    FROM cost c CROSS JOIN LATERAL (
        SELECT * FROM steps s WHERE s.item = c.item AND s.n = c.n + 1 AND NOT s.begins AND s.qty_after <> 0
        LIMIT 1) AS s
)
SELECT * FROM cost;
CREATE INDEX ON averages (item, n);
ANALYZE averages (item);

CREATE TEMPORARY TABLE differing ON COMMIT DROP AS
WITH compared AS (
    SELECT t.*, p.avg_cost AS ours, p.avg_cost AS by_lots, NULL::numeric AS with_fees, p.instrument_id,
           t.average * 1e-4 AS allowed, coalesce(i.multiplier, 1) AS multiplier
    FROM told t
    JOIN positions_daily p ON p.business_date = t.business_date AND p.account_id = t.account_id
        AND p.instrument_id = t.instrument
    LEFT JOIN instruments i ON i.symbol = t.symbol
    WHERE t.broker = 'IB' AND p.broker = 'IB' AND abs(p.qty - t.qty) <= 1e-8
    UNION ALL
    SELECT t.*, a.average, p.avg_cost, a.with_fees, held.instrument_id,
           greatest(t.average * 1e-4, 0.5 * 10::numeric ^ -greatest(t.places, 3)), coalesce(i.multiplier, 1)
    FROM told t
    JOIN (SELECT DISTINCT account_id, instrument, item FROM steps) AS k USING (account_id, instrument)
    CROSS JOIN LATERAL (
        SELECT item, n, qty_after, instrument_id FROM steps
        WHERE item = k.item AND at <= t.as_of ORDER BY at DESC, n DESC LIMIT 1) AS held
    CROSS JOIN LATERAL (SELECT average, with_fees FROM averages WHERE item = held.item AND n = held.n LIMIT 1) AS a
    LEFT JOIN positions_daily p ON p.business_date = t.business_date AND p.account_id = t.account_id
                               AND p.instrument_id = held.instrument_id AND p.broker = 'FUTU'
    LEFT JOIN instruments i ON i.symbol = t.symbol
    WHERE t.broker = 'FUTU' AND abs(held.qty_after - t.qty) <= 1e-8
)
SELECT *, (ours - average) * qty * multiplier AS gap
FROM compared c
WHERE abs(ours - average) > abs(allowed) AND abs((ours - average) * qty * multiplier) > 0.01
  AND (broker = 'IB' OR (abs(coalesce(by_lots, ours) - average) > abs(allowed)
                         AND abs(coalesce(with_fees, ours) - average) > abs(allowed)));
ANALYZE differing;

WITH reported AS (
    SELECT t.account_id, coalesce(t.instrument_id, t.symbol) AS instrument, t.trade_date, t.report_date
    FROM trades_norm t
    WHERE t.broker = 'IB' AND t.report_date > t.trade_date
      AND t.trade_date >= (SELECT min(business_date) FROM snapshots) - 40
), taken_back AS (
    SELECT account_id, instrument, on_date, lead(on_date) OVER one AS until, sum(qty) OVER one AS qty
    FROM (SELECT account_id, coalesce(instrument_id, symbol) AS instrument,
                 coalesce(report_date, trade_date) AS on_date,
                 sum(CASE side WHEN 'BUY' THEN qty ELSE -qty END) AS qty
          FROM trades_norm
          WHERE trade_date BETWEEN (SELECT min(business_date) FROM snapshots) - 40 AND %(to_date)s::date
            AND broker = 'IB' AND NOT effective
          GROUP BY 1, 2, 3) AS t
    WINDOW one AS (PARTITION BY account_id, instrument ORDER BY on_date)
), in_time AS (
    SELECT * FROM differing d
    WHERE NOT EXISTS (SELECT FROM reported r WHERE d.broker = 'IB' AND r.account_id = d.account_id
                      AND r.instrument = d.instrument
                      AND d.business_date >= r.trade_date AND d.business_date < r.report_date)
      AND NOT EXISTS (SELECT FROM taken_back b WHERE d.broker = 'IB' AND b.account_id = d.account_id
                      AND b.instrument = d.instrument
                      AND b.qty <> 0 AND d.business_date >= b.on_date
                      AND (b.until IS NULL OR d.business_date < b.until))
)
SELECT d.broker, d.account_id, d.symbol
       || CASE WHEN d.instrument = d.symbol THEN '' ELSE ' ' || d.instrument END AS subject,
       d.business_date, trim_scale(round(d.average, 10)) AS expected, trim_scale(round(d.ours, 10)) AS actual,
       d.currency,
       CASE d.broker WHEN 'FUTU' THEN 'WARN' ELSE 'ERROR' END AS severity,
       CASE WHEN d.broker = 'FUTU' THEN 'CONVENTION'
            WHEN EXISTS (SELECT FROM lots l WHERE l.account_id = d.account_id AND l.instrument_id = d.instrument_id
                         AND l.fees IS NULL AND l.started_on <= d.business_date
                         AND (l.closed_on IS NULL OR l.closed_on > d.business_date)) THEN 'FEE_PENDING' END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'symbol', d.symbol, 'instrument_id', d.instrument_id, 'quantity', trim_scale(d.qty)::text,
           'compared_before_on', (SELECT s.business_date FROM snapshots s
                                  WHERE s.broker = d.broker AND s.account_id = d.account_id AND s.n = d.n - 1),
           'told', trim_scale(round(d.average, 10))::text, 'ours', trim_scale(round(d.ours, 10))::text,
           'told_cost', trim_scale(round(d.average * d.qty * d.multiplier, 4))::text,
           'cost', trim_scale(round(d.ours * d.qty * d.multiplier, 4))::text,
           'with_fees', trim_scale(round(d.with_fees, 10))::text, 'of_our_lots', trim_scale(round(d.by_lots, 10))::text,
           'ours_is', CASE d.broker WHEN 'FUTU' THEN 'moving average of prices, without fees'
               ELSE 'cost of our open lots, with fees' END,
           'rows', (SELECT coalesce(jsonb_agg(name ORDER BY place, name), '[]') FROM (
                        SELECT 1 AS place,
                               concat_ws('/', 'positions_daily', p.business_date, p.account_id, p.instrument_id) AS name
                        FROM positions_daily p
                        WHERE p.business_date = d.business_date AND p.account_id = d.account_id
                          AND p.instrument_id = d.instrument_id
                        UNION ALL
                        SELECT 2,
                               concat_ws('/', 'broker_positions', p.business_date, p.broker, p.account_id,
                                         p.broker_position_id)
                        FROM broker_positions p
                        WHERE p.business_date = d.business_date AND p.broker = d.broker AND p.account_id = d.account_id
                          AND d.instrument = CASE d.broker WHEN 'IB' THEN p.broker_position_id ELSE p.symbol END
                        UNION ALL
                        (SELECT 3, m.movement_uid FROM position_movements m
                         WHERE m.broker = d.broker AND m.account_id = d.account_id AND m.instrument_id = d.instrument_id
                           AND m.business_date <= d.business_date
                         ORDER BY m.business_date DESC, m.ordered_at DESC, m.movement_uid LIMIT 17)
                        ORDER BY 1, 2 LIMIT 20) AS names))) AS evidence
FROM in_time d
WHERE d.business_date >= %(from_date)s::date
  AND NOT EXISTS (SELECT FROM in_time p WHERE p.broker = d.broker AND p.account_id = d.account_id
                  AND p.instrument = d.instrument
                  AND p.n = d.n - 1 AND p.gap * d.gap > 0 AND abs(d.gap) <= abs(p.gap) + 0.01)
ORDER BY 1, 2, 3, 4
