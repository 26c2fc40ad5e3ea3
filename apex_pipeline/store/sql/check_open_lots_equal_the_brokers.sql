-- C03. Our open lots at the end of each day of which IB tells its own, by instrument and moment of opening: quantity to
-- the share (1e-8 for fractions) and cost to the cent, in which IB writes it. IB may merge or split lots of one moment,
-- so they are summed; where it does not tell the moment of every lot of an instrument, all are. All lots of an
-- instrument that differ on a day are one finding, of quantities if any of these differs: another cost is no news
-- beside that. It is a finding of the day on which it appeared, on which the quantity that is too much or too little
-- changed, or on which the costs came to differ by more: first in, first out carries one fault from lot to lot, and
-- closing parts makes it smaller. An instrument without a lot of which the report before told lots, and which is
-- still held, lacks them. Left out: instruments whose ledger stopped, and days between the report of an
-- execution and that of its cancel, on which a statement of the time shows it as held.
-- The days are numbered, from the newest told day before the first on, and what changes a lot counts from the first
-- number on that it is in: what is left of a lot is a step function of that number. Both sides are put together by
-- grouping: no join of many columns is estimated well.
SET LOCAL work_mem = '64MB';
DROP TABLE IF EXISTS pg_temp.accounts, pg_temp.told, pg_temp.differing;
CREATE TEMPORARY TABLE accounts ON COMMIT DROP AS
WITH readable AS (
    SELECT DISTINCT account_id, business_date FROM positions_raw_ib r
    WHERE record_key NOT LIKE 'tws:%%' AND business_date <= %(to_date)s::date
      AND NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = 'IB' AND q.kind = 'positions'
                      AND q.account_id = r.account_id
                      AND q.business_date = r.business_date AND q.resolved_at IS NULL)
), since AS (
    SELECT account_id, max(business_date) FILTER (WHERE business_date < %(from_date)s::date) AS before FROM readable
    GROUP BY 1
)
SELECT account_id, array_agg(business_date ORDER BY business_date) AS days, count(*)::int AS last
FROM readable JOIN since USING (account_id)
WHERE business_date >= %(from_date)s::date OR business_date = before
GROUP BY 1;
ANALYZE accounts;

CREATE TEMPORARY TABLE told ON COMMIT DROP AS
SELECT l.account_id, d.n::int AS n, coalesce(l.instrument_id, l.symbol) AS instrument, l.symbol,
       date_trunc('second', l.opened_at) AS opened_at, l.qty, l.cost_basis AS cost, l.currency
FROM accounts a CROSS JOIN LATERAL unnest(a.days) WITH ORDINALITY AS d (day, n)
JOIN broker_lots l ON l.business_date = d.day AND l.account_id = a.account_id
WHERE l.broker = 'IB' AND l.asset_class NOT IN ('FX', 'COMBO');
ANALYZE told (account_id, instrument);

CREATE TEMPORARY TABLE differing ON COMMIT DROP AS
WITH asked AS (
    SELECT DISTINCT account_id, instrument FROM told
), reported AS (
    -- What IB reports later than it happened is in its statements from then on.
    SELECT trade_uid, report_date FROM trades_norm
    WHERE trade_date BETWEEN (SELECT min(days[1]) FROM accounts) - 40 AND %(to_date)s::date AND broker = 'IB'
      AND report_date > trade_date
), changes AS (
    SELECT l.account_id, l.instrument_id AS instrument, date_trunc('second', l.opened_at) AS opened_at,
           coalesce(r.report_date, l.started_on) AS on_date, l.qty, l.cost_basis AS cost
    FROM asked a JOIN lots l ON l.account_id = a.account_id AND l.instrument_id = a.instrument
    LEFT JOIN reported r ON r.trade_uid = l.lot_uid
    WHERE l.started_on <= %(to_date)s::date
    UNION ALL
    SELECT p.account_id, p.instrument_id, date_trunc('second', p.opened_at), coalesce(r.report_date, p.closed_on),
           CASE p.direction WHEN 'LONG' THEN -p.qty ELSE p.qty END, -p.cost_basis
    FROM asked a JOIN realized_pnl p ON p.account_id = a.account_id AND p.instrument_id = a.instrument
    LEFT JOIN reported r ON r.trade_uid = p.close_trade_uid
    WHERE p.lot_uid IS NOT NULL AND p.closed_on <= %(to_date)s::date
    UNION ALL
    SELECT m.account_id, m.instrument_id, date_trunc('second', l.opened_at), m.moved_on, -sign(l.qty) * abs(m.qty),
           -m.cost_basis
    FROM asked a JOIN lot_moves m ON m.account_id = a.account_id AND m.instrument_id = a.instrument
    JOIN lots l ON l.lot_uid = m.lot_uid
    WHERE m.moved_on <= %(to_date)s::date
), steps AS (
    SELECT c.account_id, c.instrument, c.opened_at, 1 + width_bucket(c.on_date - 1, a.days) AS n, sum(c.qty) AS qty,
           coalesce(sum(c.cost), 0) AS cost, coalesce(sum(c.qty) FILTER (WHERE c.cost IS NULL), 0) AS unknown_qty
    FROM changes c JOIN accounts a USING (account_id)
    GROUP BY 1, 2, 3, 4
), running AS (
    SELECT account_id, instrument, opened_at, n, lead(n) OVER one AS next, sum(qty) OVER one AS qty,
           sum(cost) OVER one AS cost, sum(unknown_qty) OVER one AS unknown_qty
    FROM steps WINDOW one AS (PARTITION BY account_id, instrument, opened_at ORDER BY n)
), both_sides AS (
    SELECT true AS is_told, account_id, n, instrument, symbol, opened_at, qty, cost, currency FROM told
    UNION ALL
    SELECT false, r.account_id, held.n, r.instrument, NULL, r.opened_at, r.qty,
           CASE WHEN r.unknown_qty = 0 THEN r.cost END, NULL
    FROM running r JOIN accounts a USING (account_id)
    CROSS JOIN LATERAL generate_series(r.n, least(coalesce(r.next - 1, a.last), a.last)) AS held (n)
    WHERE r.qty <> 0
), known AS (
    SELECT *, bool_or(is_told) OVER one AS is_asked, max(symbol) OVER one AS name, max(currency) OVER one AS unit,
           CASE WHEN bool_and(opened_at IS NOT NULL OR NOT is_told) OVER one THEN coalesce(opened_at, '-infinity')
                ELSE '-infinity' END AS moment
    FROM both_sides WINDOW one AS (PARTITION BY account_id, n, instrument)
), compared AS (
    SELECT account_id, n, instrument, moment, coalesce(max(name), (
               SELECT min(b.symbol) FROM told b WHERE b.account_id = k.account_id AND b.instrument = k.instrument)) AS symbol,
           max(unit) AS currency,
           coalesce(sum(qty) FILTER (WHERE is_told), 0) AS told_qty,
           coalesce(sum(qty) FILTER (WHERE NOT is_told), 0) AS qty,
           -- NULL where the cost of any part is not known.
           CASE WHEN count(*) FILTER (WHERE cost IS NULL) = 0 THEN sum(cost) FILTER (WHERE is_told) END AS told_cost,
           CASE WHEN count(*) FILTER (WHERE cost IS NULL) = 0 THEN sum(cost) FILTER (WHERE NOT is_told) END AS cost
    FROM known k
    WHERE is_asked OR (
        -- told yesterday, still held, and not told today
        EXISTS (SELECT FROM told b WHERE b.account_id = k.account_id AND b.instrument = k.instrument AND b.n = k.n - 1)
        AND EXISTS (SELECT FROM broker_positions p JOIN accounts a USING (account_id)
                    WHERE p.business_date = a.days[k.n] AND p.broker = 'IB' AND p.account_id = k.account_id
                      AND p.broker_position_id = k.instrument AND p.qty <> 0)
        AND EXISTS (SELECT FROM told b WHERE b.account_id = k.account_id AND b.n = k.n))
    GROUP BY 1, 2, 3, 4
)
SELECT c.*, a.days[c.n] AS business_date, abs(told_qty - qty) > 1e-8 AS other_qty
FROM compared c JOIN accounts a USING (account_id)
WHERE abs(told_qty - qty) > 1e-8 OR abs(told_cost - cost) > 0.01;
ANALYZE differing;

WITH taken_back AS (
    SELECT account_id, instrument, on_date, lead(on_date) OVER one AS until, sum(qty) OVER one AS qty
    FROM (SELECT account_id, coalesce(instrument_id, symbol) AS instrument,
                 coalesce(report_date, trade_date) AS on_date,
                 sum(CASE side WHEN 'BUY' THEN qty ELSE -qty END) AS qty
          FROM trades_norm
          WHERE trade_date BETWEEN (SELECT min(days[1]) FROM accounts) - 40 AND %(to_date)s::date AND broker = 'IB'
            AND NOT effective
          GROUP BY 1, 2, 3) AS t
    WINDOW one AS (PARTITION BY account_id, instrument ORDER BY on_date)
), together AS (
    -- What differs in quantity if anything does, else what differs in cost.
    SELECT account_id, n, business_date, instrument, bool_or(other_qty) AS other_qty, max(symbol) AS symbol,
           max(currency) AS currency, sum(told_qty - qty) AS lacking,
           coalesce(sum(abs(told_cost - cost)) FILTER (WHERE NOT other_qty), 0) AS gap_in_cost
    FROM differing d
    WHERE NOT EXISTS (SELECT FROM ledger_stops s WHERE s.account_id = d.account_id AND s.instrument_id = d.instrument
                      AND s.business_date <= d.business_date)
      AND NOT EXISTS (SELECT FROM taken_back b WHERE b.account_id = d.account_id AND b.instrument = d.instrument
                      AND b.qty <> 0 AND d.business_date >= b.on_date
                      AND (b.until IS NULL OR d.business_date < b.until))
    GROUP BY 1, 2, 3, 4
), appeared AS (
    SELECT t.*, days.days[t.n - 1] AS before_on FROM together t JOIN accounts days USING (account_id)
    LEFT JOIN together p ON p.account_id = t.account_id AND p.instrument = t.instrument AND p.n = t.n - 1
    WHERE t.business_date >= %(from_date)s::date
      AND (p.n IS NULL OR p.other_qty <> t.other_qty
           OR CASE WHEN t.other_qty THEN abs(t.lacking - p.lacking) > 1e-8
               ELSE t.gap_in_cost > p.gap_in_cost + 0.01 END)
)
SELECT 'IB' AS broker, a.account_id, concat_ws(' ', a.symbol, a.instrument) AS subject, a.business_date,
       -- Where the lots differ and their sum does not, the oldest lot speaks.
       trim_scale(CASE WHEN f.agree_in_sum THEN f.first_told ELSE f.told END) AS expected,
       trim_scale(CASE WHEN f.agree_in_sum THEN f.first_ours ELSE f.ours END) AS actual,
       CASE WHEN NOT a.other_qty THEN a.currency END AS currency, 'ERROR' AS severity,
       CASE WHEN a.other_qty AND f.agree_in_sum THEN NULL
            WHEN a.other_qty AND f.ours = 0 THEN 'MISSING_B' WHEN a.other_qty AND f.told = 0 THEN 'MISSING_A'
            WHEN NOT a.other_qty AND EXISTS (
                SELECT FROM lots l WHERE l.account_id = a.account_id AND l.instrument_id = a.instrument
                       AND l.fees IS NULL
                  AND (f.moments = '{-infinity}' OR date_trunc('second', l.opened_at) = ANY (f.moments)))
                      THEN 'FEE_PENDING'
       END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'compared', CASE WHEN a.other_qty THEN 'quantity' ELSE 'cost' END, 'symbol', a.symbol,
           'instrument_id', a.instrument,
           'told', trim_scale(f.told)::text, 'ours', trim_scale(f.ours)::text, 'lots', f.lots,
           'compared_before_on', a.before_on,
           'rows', (SELECT coalesce(jsonb_agg(name ORDER BY place, name), '[]') FROM (
                        SELECT 1 AS place,
                               concat_ws('/', 'positions_daily', p.business_date, p.account_id, p.instrument_id) AS name
                        FROM positions_daily p
                        WHERE p.business_date = a.business_date AND p.account_id = a.account_id
                          AND p.instrument_id = a.instrument
                        UNION ALL
                        SELECT 2, l.lot_uid FROM broker_lots l
                        WHERE l.business_date = a.business_date AND l.account_id = a.account_id AND l.broker = 'IB'
                          AND coalesce(l.instrument_id, l.symbol) = a.instrument
                          AND (f.moments = '{-infinity}' OR date_trunc('second', l.opened_at) = ANY (f.moments))
                        UNION ALL
                        SELECT 2, l.lot_uid FROM lots l
                        WHERE l.account_id = a.account_id AND l.instrument_id = a.instrument
                          AND l.started_on <= a.business_date
                          AND (l.closed_on IS NULL OR l.closed_on >= a.business_date)
                          AND (f.moments = '{-infinity}' OR date_trunc('second', l.opened_at) = ANY (f.moments))
                        ORDER BY 1, 2 LIMIT 20) AS names),
           -- the moment of an opening as the broker tells it of its lot
           'set_right', CASE WHEN a.other_qty AND f.agree_in_sum THEN (
               SELECT jsonb_agg(jsonb_build_object(
                          'do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', t.trade_uid),
                          'row', jsonb_build_object('trade_date', t.trade_date, 'executed_at', l.opened_at))
                          ORDER BY t.trade_uid)
               FROM broker_lots l
               JOIN trades_norm t ON t.broker = 'IB' AND t.account_id = l.account_id AND t.broker_trade_id = l.open_trade_id
               WHERE l.business_date = a.business_date AND l.account_id = a.account_id AND l.broker = 'IB'
                 AND coalesce(l.instrument_id, l.symbol) = a.instrument AND t.effective
                 AND date_trunc('second', l.opened_at) <> date_trunc('second', t.executed_at)) END)) AS evidence
FROM appeared a CROSS JOIN LATERAL (
    SELECT sum(told) AS told, sum(ours) AS ours, array_agg(moment) AS moments,
           (array_agg(told ORDER BY moment))[1] AS first_told, (array_agg(ours ORDER BY moment))[1] AS first_ours,
           abs(sum(told) - sum(ours)) <= CASE WHEN a.other_qty THEN 1e-8 ELSE 0.01 END AS agree_in_sum,
           jsonb_agg(jsonb_build_object(
               'opened_at', CASE WHEN moment > '-infinity'
                   THEN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END,
               'told_quantity', trim_scale(told_qty)::text, 'quantity', trim_scale(qty)::text,
               'told_cost', trim_scale(told_cost)::text, 'cost', trim_scale(cost)::text) ORDER BY moment)
               FILTER (WHERE place <= 20) AS lots
    FROM (SELECT *, CASE WHEN a.other_qty THEN d.told_qty ELSE d.told_cost END AS told,
                 CASE WHEN a.other_qty THEN d.qty ELSE d.cost END AS ours,
                 row_number() OVER (ORDER BY d.moment) AS place
          FROM differing d
          WHERE d.account_id = a.account_id AND d.n = a.n AND d.instrument = a.instrument
            AND d.other_qty = a.other_qty) AS d
) AS f
ORDER BY 2, 3, 4
