-- C03, C04. Our open lots at the end of each day of which IB tells its own, by instrument and moment of opening: quantity
-- and cost. IB may merge or split lots of one moment, so they are summed; where it does not tell the moment of every lot
-- of an instrument, all are. Where it tells the position as a whole only, the cost of the whole is compared.
-- Left out: instruments whose ledger stopped, and days between the report of an execution and that of its cancel, on
-- which a statement of the time shows it as held.
-- The days are numbered, and what changes a lot counts from the first number on that it is in: what is left of a lot is
-- a step function of that number. Both sides are put together by grouping: no join of many columns is estimated well.
WITH lots_told AS (
    SELECT account_id, business_date, coalesce(instrument_id, symbol) AS instrument, symbol,
           date_trunc('second', opened_at) AS opened_at, qty, cost_basis AS cost, currency
    FROM broker_lots
    WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND broker = 'IB' AND asset_class NOT IN ('FX', 'COMBO')
), told AS (
    SELECT *, false AS whole FROM lots_told
    UNION ALL
    SELECT p.account_id, p.business_date, p.broker_position_id, p.symbol, NULL, p.qty, p.average_cost * p.qty * i.multiplier,
           p.currency, true
    FROM broker_positions p JOIN instruments i USING (symbol)
    WHERE p.business_date BETWEEN %(from_date)s AND %(to_date)s AND p.broker = 'IB' AND p.source = 'FLEX'
      AND p.average_cost IS NOT NULL AND i.multiplier IS NOT NULL AND p.asset_class NOT IN ('FX', 'COMBO', 'BOND')
      AND (p.account_id, p.business_date, p.broker_position_id) NOT IN (SELECT account_id, business_date, instrument FROM lots_told)
), accounts AS (
    SELECT account_id, array_agg(business_date ORDER BY business_date) AS days, count(*)::int AS last
    FROM (SELECT DISTINCT account_id, business_date FROM told) AS d GROUP BY 1
), asked AS (
    SELECT DISTINCT account_id, instrument FROM told
), reported AS (
    -- What IB reports later than it happened is in its statements from then on.
    SELECT trade_uid, report_date FROM trades_norm
    WHERE trade_date BETWEEN %(from_date)s::date - 40 AND %(to_date)s AND broker = 'IB' AND report_date > trade_date
), changes AS (
    SELECT l.account_id, l.instrument_id AS instrument, date_trunc('second', l.opened_at) AS opened_at,
           coalesce(r.report_date, l.started_on) AS on_date, l.qty, l.cost_basis AS cost
    FROM asked a JOIN lots l ON l.account_id = a.account_id AND l.instrument_id = a.instrument
    LEFT JOIN reported r ON r.trade_uid = l.lot_uid
    WHERE l.started_on <= %(to_date)s
    UNION ALL
    SELECT p.account_id, p.instrument_id, date_trunc('second', p.opened_at), coalesce(r.report_date, p.closed_on),
           CASE p.direction WHEN 'LONG' THEN -p.qty ELSE p.qty END, -p.cost_basis
    FROM asked a JOIN realized_pnl p ON p.account_id = a.account_id AND p.instrument_id = a.instrument
    LEFT JOIN reported r ON r.trade_uid = p.close_trade_uid
    WHERE p.lot_uid IS NOT NULL AND p.closed_on <= %(to_date)s
    UNION ALL
    SELECT m.account_id, m.instrument_id, date_trunc('second', l.opened_at), m.moved_on, -sign(l.qty) * abs(m.qty), -m.cost_basis
    FROM asked a JOIN lot_moves m ON m.account_id = a.account_id AND m.instrument_id = a.instrument
    JOIN lots l ON l.lot_uid = m.lot_uid
    WHERE m.moved_on <= %(to_date)s
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
    SELECT true AS is_told, whole, account_id, business_date, instrument, symbol, opened_at, qty, cost, currency FROM told
    UNION ALL
    SELECT false, false, r.account_id, a.days[held.n], r.instrument, NULL, r.opened_at, r.qty,
           CASE WHEN r.unknown_qty = 0 THEN r.cost END, NULL
    FROM running r JOIN accounts a USING (account_id)
    CROSS JOIN LATERAL generate_series(r.n, least(coalesce(r.next - 1, a.last), a.last)) AS held (n)
    WHERE r.qty <> 0
), known AS (
    SELECT *, bool_or(is_told) OVER one AS is_asked, bool_or(whole) OVER one AS as_a_whole, max(symbol) OVER one AS name,
           max(currency) OVER one AS unit,
           CASE WHEN bool_and(opened_at IS NOT NULL OR NOT is_told) OVER one THEN coalesce(opened_at, '-infinity')
                ELSE '-infinity' END AS moment
    FROM both_sides WINDOW one AS (PARTITION BY account_id, business_date, instrument)
), compared AS (
    SELECT account_id, business_date, instrument, moment, as_a_whole, max(name) AS symbol, max(unit) AS currency,
           sum(qty) FILTER (WHERE is_told) AS told_qty, sum(qty) FILTER (WHERE NOT is_told) AS qty,
           -- NULL where the cost of any part is not known.
           CASE WHEN count(*) FILTER (WHERE cost IS NULL) = 0 THEN sum(cost) FILTER (WHERE is_told) END AS told_cost,
           CASE WHEN count(*) FILTER (WHERE cost IS NULL) = 0 THEN sum(cost) FILTER (WHERE NOT is_told) END AS cost
    FROM known WHERE is_asked
    GROUP BY 1, 2, 3, 4, 5
), differing AS MATERIALIZED (
    SELECT *, abs(coalesce(told_qty, 0) - coalesce(qty, 0)) > 1e-8 AS other_qty
    FROM compared
    WHERE CASE WHEN as_a_whole THEN abs(coalesce(told_qty, 0) - coalesce(qty, 0)) <= 1e-8
                                    AND abs(told_cost - cost) > greatest(0.01, abs(told_cost) * 0.0001)
               ELSE abs(coalesce(told_qty, 0) - coalesce(qty, 0)) > 1e-8 OR abs(told_cost - cost) > 0.01 END
), taken_back AS (
    SELECT account_id, instrument, on_date, lead(on_date) OVER one AS until, sum(qty) OVER one AS qty
    FROM (SELECT account_id, coalesce(instrument_id, symbol) AS instrument, coalesce(report_date, trade_date) AS on_date,
                 sum(CASE side WHEN 'BUY' THEN qty ELSE -qty END) AS qty
          FROM trades_norm
          WHERE trade_date BETWEEN %(from_date)s::date - 40 AND %(to_date)s AND broker = 'IB' AND NOT effective
          GROUP BY 1, 2, 3) AS t
    WINDOW one AS (PARTITION BY account_id, instrument ORDER BY on_date)
)
SELECT 'IB' AS broker, d.account_id,
       concat_ws(' ', d.symbol, d.instrument, CASE WHEN d.moment > '-infinity'
                 THEN to_char(d.moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END) AS subject,
       d.business_date, trim_scale(CASE WHEN d.other_qty THEN coalesce(d.told_qty, 0) ELSE d.told_cost END) AS expected,
       trim_scale(CASE WHEN d.other_qty THEN coalesce(d.qty, 0) ELSE d.cost END) AS actual,
       CASE WHEN NOT d.other_qty THEN d.currency END AS currency, 'ERROR' AS severity,
       CASE WHEN d.qty IS NULL THEN 'MISSING_B' WHEN d.told_qty IS NULL THEN 'MISSING_A' END AS cause,
       jsonb_build_object('compared', CASE WHEN d.other_qty THEN 'quantity' ELSE 'cost' END, 'symbol', d.symbol,
                          'instrument_id', d.instrument, 'told_cost', d.told_cost, 'cost', d.cost) AS evidence
FROM differing d
WHERE NOT EXISTS (SELECT FROM ledger_stops s WHERE s.account_id = d.account_id AND s.instrument_id = d.instrument
                  AND s.business_date <= d.business_date)
  AND NOT EXISTS (SELECT FROM taken_back b WHERE b.account_id = d.account_id AND b.instrument = d.instrument
                  AND b.qty <> 0 AND d.business_date >= b.on_date AND (b.until IS NULL OR d.business_date < b.until))
ORDER BY 2, 3, 4
