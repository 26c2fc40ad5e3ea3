-- C02. What our movements sum up to, against every snapshot of positions that could be read; an empty one says that
-- nothing was held, a day without one says nothing. A statement of IB is of the end of its day, and what it reports later
-- counts from its report on; a snapshot of Futu or TWS is of the instant at which it was told.
-- Two sums are kept, and one of them must agree. IB: without and with what was cancelled later, for statements told
-- before the cancel. Futu: how an option ended is known by the day, so it may be in a snapshot of these days or not; of
-- several ends the earlier ones may be in it and the later ones not.
-- Snapshots are numbered, and a movement counts from the first number on whose moment it is in: a position is a step
-- function of that number, and only held steps are compared.
WITH snapshots AS (
    SELECT *, row_number() OVER (PARTITION BY broker, account_id ORDER BY as_of, business_date) AS n
    FROM (
        SELECT 'FUTU' AS broker, account_id, business_date, max(coalesce(generated_at, fetched_at)) AS as_of
        FROM positions_raw_futu WHERE business_date BETWEEN %(from_date)s AND %(to_date)s GROUP BY account_id, business_date
        UNION ALL
        SELECT 'IB', account_id, business_date,
               CASE WHEN bool_and(record_key LIKE 'tws:%%') THEN max(coalesce(generated_at, fetched_at))
                    ELSE (business_date + 1)::timestamp AT TIME ZONE 'America/New_York' END
        FROM positions_raw_ib WHERE business_date BETWEEN %(from_date)s AND %(to_date)s GROUP BY account_id, business_date
    ) AS told
    WHERE NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = told.broker AND q.kind = 'positions'
                      AND q.account_id = told.account_id AND q.business_date = told.business_date AND q.resolved_at IS NULL)
), accounts AS (
    SELECT broker, account_id, array_agg(as_of ORDER BY n) AS moments, array_agg(business_date ORDER BY n) AS days,
           count(*)::int AS last
    FROM snapshots GROUP BY 1, 2
), recent AS (
    -- Whatever was reported this long before the first day was reported before it.
    SELECT m.movement_uid, m.broker, m.account_id, m.instrument_id, m.symbol, m.kind, m.qty,
           coalesce(m.moved_at, m.ordered_at) AS moved_at, coalesce(t.report_date, m.business_date) AS on_date,
           true AS effective
    FROM accounts a JOIN position_movements m USING (broker, account_id)
    LEFT JOIN trades_norm t ON t.trade_uid = m.movement_uid AND t.trade_date >= %(from_date)s::date - 40
    WHERE m.business_date BETWEEN %(from_date)s::date - 40 AND %(to_date)s::date + 7 AND m.asset_class NOT IN ('FX', 'COMBO')
    UNION ALL
    SELECT t.trade_uid, t.broker, t.account_id, coalesce(t.instrument_id, t.symbol), t.symbol, t.kind,
           CASE t.side WHEN 'BUY' THEN t.qty ELSE -t.qty END, t.executed_at, coalesce(t.report_date, t.trade_date), false
    FROM accounts a JOIN trades_norm t USING (broker, account_id)
    WHERE NOT t.effective AND t.broker = 'IB' AND t.asset_class NOT IN ('FX', 'COMBO')
      AND t.trade_date BETWEEN %(from_date)s::date - 40 AND %(to_date)s
), placed AS (
    SELECT r.broker, r.account_id, CASE r.broker WHEN 'IB' THEN r.instrument_id ELSE r.symbol END AS instrument, r.instrument_id,
           r.symbol,
           CASE WHEN effective THEN r.qty ELSE 0 END AS early_qty, r.qty AS late_qty, moments.early, moments.late, r.on_date
    FROM recent r CROSS JOIN LATERAL (
        SELECT r.on_date::timestamp AT TIME ZONE 'America/New_York' AS begins,
               (r.on_date + 1)::timestamp AT TIME ZONE 'America/New_York' AS ends,
               r.broker = 'FUTU' AND r.kind IN ('EXERCISE', 'ASSIGNMENT', 'EXPIRATION') AS by_day
    ) AS day CROSS JOIN LATERAL (
        SELECT CASE WHEN r.broker = 'IB' THEN least(greatest(coalesce(r.moved_at, ends), begins + interval '1 second'), ends)
                    WHEN by_day THEN r.moved_at - interval '1 day' ELSE r.moved_at END AS early,
               CASE WHEN r.broker = 'IB' THEN least(greatest(coalesce(r.moved_at, ends), begins + interval '1 second'), ends)
                    WHEN by_day THEN r.moved_at + interval '4 days' ELSE r.moved_at END AS late
    ) AS moments
), changes AS (
    SELECT m.broker, m.account_id, CASE m.broker WHEN 'IB' THEN m.instrument_id ELSE m.symbol END AS instrument,
           max(m.instrument_id) AS instrument_id, max(m.symbol) AS symbol, 1 AS n, sum(m.qty) AS early_qty, sum(m.qty) AS late_qty
    FROM accounts a JOIN position_movements m USING (broker, account_id)
    WHERE m.business_date < %(from_date)s::date - 40 AND m.asset_class NOT IN ('FX', 'COMBO')
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT broker, account_id, instrument, instrument_id, symbol, 1 + width_bucket(early - interval '1 microsecond', a.moments),
           early_qty, 0
    FROM placed JOIN accounts a USING (broker, account_id)
    UNION ALL
    SELECT broker, account_id, instrument, instrument_id, symbol, 1 + width_bucket(late - interval '1 microsecond', a.moments),
           0, late_qty
    FROM placed JOIN accounts a USING (broker, account_id)
), steps AS (
    SELECT broker, account_id, instrument, n, max(instrument_id) AS instrument_id, max(symbol) AS symbol, sum(early_qty) AS early_qty,
           sum(late_qty) AS late_qty
    FROM changes GROUP BY 1, 2, 3, 4
), running AS (
    SELECT broker, account_id, instrument, symbol, n, lead(n) OVER one AS next, sum(early_qty) OVER one AS early_qty,
           sum(late_qty) OVER one AS late_qty
    FROM steps WINDOW one AS (PARTITION BY broker, account_id, instrument ORDER BY n)
), ours AS (
    SELECT r.broker, r.account_id, a.days[held.n] AS business_date, r.instrument, r.symbol, r.early_qty, r.late_qty
    FROM running r JOIN accounts a USING (broker, account_id)
    CROSS JOIN LATERAL generate_series(r.n, least(coalesce(r.next - 1, a.last), a.last)) AS held (n)
    WHERE r.early_qty <> 0 OR r.late_qty <> 0
), told AS (
    SELECT s.broker, s.account_id, s.business_date,
           CASE s.broker WHEN 'IB' THEN p.broker_position_id ELSE p.symbol END AS instrument, max(p.symbol) AS symbol,
           sum(p.qty) AS qty
    FROM snapshots s JOIN broker_positions p USING (business_date, broker, account_id)
    WHERE p.asset_class NOT IN ('FX', 'COMBO')
    GROUP BY 1, 2, 3, 4
), begun AS (
    -- Ends that may be in a snapshot or not, up to each of their days.
    SELECT p.broker, p.account_id, a.days[between_them.n] AS business_date, p.instrument,
           sum(p.late_qty) OVER (PARTITION BY p.broker, p.account_id, p.instrument, between_them.n ORDER BY p.on_date) AS qty
    FROM placed p JOIN accounts a USING (broker, account_id)
    CROSS JOIN LATERAL generate_series(1 + width_bucket(p.early - interval '1 microsecond', a.moments),
                                       width_bucket(p.late - interval '1 microsecond', a.moments)) AS between_them (n)
    WHERE p.broker = 'FUTU' AND p.early < p.late
), moved AS (
    SELECT broker, account_id, instrument, max(instrument_id) AS instrument_id, min(n) AS first FROM steps GROUP BY 1, 2, 3
), differing AS MATERIALIZED (
    SELECT broker, account_id, business_date, instrument, coalesce(t.symbol, o.symbol) AS symbol,
           coalesce(t.qty, 0) AS expected, coalesce(o.early_qty, 0) AS actual
    FROM told t FULL JOIN ours o USING (broker, account_id, business_date, instrument)
    WHERE abs(coalesce(t.qty, 0) - coalesce(o.early_qty, 0)) > 1e-8 AND abs(coalesce(t.qty, 0) - coalesce(o.late_qty, 0)) > 1e-8
      AND NOT EXISTS (
          SELECT FROM begun b
          WHERE b.broker = coalesce(t.broker, o.broker) AND b.account_id = coalesce(t.account_id, o.account_id)
            AND b.business_date = coalesce(t.business_date, o.business_date)
            AND b.instrument = coalesce(t.instrument, o.instrument)
            AND abs(coalesce(t.qty, 0) - coalesce(o.late_qty, 0) - b.qty) <= 1e-8)
)
SELECT d.broker, d.account_id, d.symbol || CASE WHEN d.instrument = d.symbol THEN '' ELSE ' ' || d.instrument END AS subject,
       d.business_date, trim_scale(d.expected) AS expected, trim_scale(d.actual) AS actual, 'ERROR' AS severity,
       -- A position of which nothing is known, or that was closed without having been opened, was there before. It is as
       -- bad as a lost trade, which looks the same: whoever knows better signs an opening balance.
       CASE WHEN stop.uid IS NOT NULL THEN 'CORP_ACTION'
            WHEN m.instrument IS NULL OR lacking.uid IS NOT NULL THEN 'OPENING_BALANCE'
            WHEN d.actual = 0 THEN 'MISSING_B' WHEN d.expected = 0 THEN 'MISSING_A' END AS cause,
       jsonb_build_object('instrument_id', coalesce(m.instrument_id, d.instrument), 'symbol', d.symbol) AS evidence
FROM differing d
JOIN snapshots s USING (broker, account_id, business_date)
LEFT JOIN moved m ON m.broker = d.broker AND m.account_id = d.account_id AND m.instrument = d.instrument AND m.first <= s.n
LEFT JOIN LATERAL (
    SELECT l.stop_uid AS uid FROM ledger_stops l
    WHERE l.account_id = d.account_id AND l.instrument_id = coalesce(m.instrument_id, d.instrument)
      AND l.business_date <= d.business_date LIMIT 1
) AS stop ON true
LEFT JOIN LATERAL (
    SELECT r.realized_uid AS uid FROM realized_pnl r
    WHERE r.account_id = d.account_id AND r.instrument_id = m.instrument_id AND r.closed_on <= d.business_date
      AND r.lot_uid IS NULL LIMIT 1
) AS lacking ON true
ORDER BY 1, 2, 3, 4
