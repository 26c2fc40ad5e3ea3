-- D07. What Futu booked for trades and their fees on a clearing date, and what our trades and fees of that day make, by
-- currency. Fees are rounded each to a cent, so n of them may differ by n half cents. Where the money of a few days
-- together agrees the days differ only in time; where an order has no fee yet it is the fee that is missing.
-- And between two snapshots of an account's funds: the cash of a currency changed by what was booked in between. A
-- snapshot of a day on which something was booked may hold it or not, so only those of other days are compared; and what
-- a booking is in is told by its day as well as by the instant of the snapshot, one of which must agree. Cash that did not
-- move with its bookings says something only where it does so otherwise (a paper account's may never move).
WITH told AS MATERIALIZED (
    SELECT b.account_id, b.currency, b.business_date, b.as_of, b.cash FROM broker_balances b
    WHERE b.broker = 'FUTU' AND b.cash IS NOT NULL AND b.business_date <= %(to_date)s::date
      AND b.business_date >= %(from_date)s::date - 92
      AND NOT EXISTS (SELECT FROM cash_movements m
                      WHERE m.broker = 'FUTU' AND m.account_id = b.account_id AND m.booked_on = b.business_date
                        AND m.currency = b.currency AND m.amount <> 0)
), moved AS (
    SELECT t.*, lag(t.business_date) OVER one AS before_on, lag(t.as_of) OVER one AS before_at,
           t.cash - lag(t.cash) OVER one AS told
    FROM told t WINDOW one AS (PARTITION BY t.account_id, t.currency ORDER BY t.business_date)
), booked AS (
    SELECT m.*, flow.by_day, flow.by_instant FROM moved m
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(f.amount) FILTER (WHERE f.booked_on > m.before_on AND f.booked_on < m.business_date), 0)
                   AS by_day,
               -- all of a day is booked when the next one has begun everywhere
               coalesce(sum(f.amount) FILTER (
                   WHERE (f.booked_on + 1)::timestamp AT TIME ZONE 'UTC' + interval '8 hours'
                         BETWEEN m.before_at + interval '1 microsecond' AND m.as_of), 0) AS by_instant
        FROM cash_movements f
        WHERE f.broker = 'FUTU' AND f.account_id = m.account_id AND f.currency = m.currency
          AND f.booked_on BETWEEN least(m.before_on, (m.before_at AT TIME ZONE 'UTC')::date - 3)
                              AND greatest(m.business_date, (m.as_of AT TIME ZONE 'UTC')::date)
    ) AS flow
    WHERE m.before_on IS NOT NULL
), unbooked AS (
    SELECT m.* FROM booked m
    WHERE m.business_date BETWEEN %(from_date)s AND %(to_date)s
      AND abs(m.told - m.by_day) > 0.005 AND abs(m.told - m.by_instant) > 0.005
      AND (m.by_day = 0 OR EXISTS (
               SELECT FROM booked o
               WHERE o.account_id = m.account_id AND o.currency = m.currency AND abs(o.told) > 0.005
                 AND (abs(o.told - o.by_day) <= 0.005 OR abs(o.told - o.by_instant) <= 0.005)))
      AND (SELECT range_agg(daterange(c.from_date, c.to_date, '[]')) FROM load_coverage c
           WHERE c.broker = 'FUTU' AND c.data_type = 'futu_cash' AND c.account_id = m.account_id)
          @> daterange(m.before_on, m.business_date, '[]')
), day AS (
    SELECT DISTINCT c.account_id, on_date::date AS on_date
    FROM load_coverage c CROSS JOIN generate_series(
        greatest(c.from_date, %(from_date)s::date - 4), least(c.to_date, %(to_date)s::date + 4), interval '1 day'
    ) AS on_date
    WHERE c.broker = 'FUTU' AND c.data_type = 'futu_cash'
      AND c.from_date <= %(to_date)s::date + 4 AND c.to_date >= %(from_date)s::date - 4
), dealt AS (
    SELECT account_id, range_agg(daterange(from_date, to_date, '[]')) AS days
    FROM load_coverage WHERE broker = 'FUTU' AND data_type = 'futu_deals' GROUP BY 1
), side AS (
    SELECT m.account_id, m.currency, m.booked_on AS on_date, m.amount AS flow, 0 AS ours, 0 AS fees, m.kind
    FROM cash_movements m LEFT JOIN dealt d USING (account_id)
    WHERE m.broker = 'FUTU' AND m.kind IN ('TRADE', 'FEE') AND m.amount <> 0
      AND m.booked_on BETWEEN %(from_date)s::date - 4 AND %(to_date)s::date + 4
      -- of what was traded when we know of no trade the booking is all there is: the ledger has it, and it is told
      AND (NOT EXISTS (SELECT FROM cash_ledger c WHERE c.entry_uid = m.cash_uid || ':CASH')
           OR m.kind = 'TRADE' AND d.days @> daterange(m.booked_on - 7, m.booked_on, '[]')
              -- the money of a delivery is booked without a deal
              AND NOT EXISTS (SELECT FROM trades_norm t
                              WHERE t.broker = 'FUTU' AND t.account_id = m.account_id AND t.source = 'futu_cash'
                                AND t.trade_date BETWEEN m.booked_on - 7 AND m.booked_on))
    UNION ALL
    SELECT c.account_id, c.currency, c.booked_on, 0, c.amount, CASE c.kind WHEN 'FEE' THEN 1 ELSE 0 END, c.kind
    FROM cash_ledger c
    WHERE c.broker = 'FUTU' AND c.kind IN ('TRADE', 'FEE') AND c.cash_uid IS NULL
      AND c.account_id IN (SELECT account_id FROM day)
      AND c.booked_on BETWEEN %(from_date)s::date - 4 AND %(to_date)s::date + 4
), daily AS (
    SELECT s.account_id, s.currency, s.on_date, sum(s.flow) AS flow, sum(s.ours) AS ours,
           sum(s.ours) - sum(s.flow) AS delta, greatest(sum(s.fees), 1) * 0.005 AS tolerance,
           abs(coalesce(sum(s.ours - s.flow) FILTER (WHERE s.kind = 'TRADE'), 0)) <= 0.005 AS trades_agree
    FROM side s JOIN day USING (account_id, on_date) GROUP BY 1, 2, 3
)
SELECT 'FUTU' AS broker, d.account_id, concat(d.account_id, ' ', d.currency, ' ', d.on_date) AS subject,
       d.on_date AS business_date, d.flow AS expected, d.ours AS actual,
       CASE WHEN near.agrees OR pending.orders IS NOT NULL THEN 'WARN' ELSE 'ERROR' END AS severity, d.currency,
       CASE WHEN near.agrees THEN 'TIMING' WHEN pending.orders IS NOT NULL THEN 'FEE_PENDING'
            WHEN d.flow = 0 THEN 'MISSING_A' WHEN d.ours = 0 THEN 'MISSING_B' END AS cause,
       jsonb_build_object('orders_without_fees', pending.orders, 'trades_agree', d.trades_agree, 'bookings', bookings.told,
                          'rows', coalesce(bookings.names, '[]'::jsonb) || coalesce(pending.orders, '[]'::jsonb)) AS evidence
FROM daily d
CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(abs(total) <= allowed), false) AS agrees FROM (
        SELECT sum(n.delta) AS total, sum(n.tolerance) AS allowed, count(*) AS days
        FROM daily n CROSS JOIN generate_series(0, 4) AS back CROSS JOIN generate_series(0, 4) AS ahead
        WHERE n.account_id = d.account_id AND n.currency = d.currency
          AND n.on_date BETWEEN d.on_date - back AND d.on_date + ahead
        GROUP BY back, ahead
    ) AS window_of_days WHERE days > 1
) AS near
CROSS JOIN LATERAL (
    SELECT jsonb_agg(DISTINCT t.order_uid) AS orders FROM trades_norm t
    WHERE t.trade_date = d.on_date AND t.account_id = d.account_id AND t.currency = d.currency AND t.effective
      AND t.order_uid IS NOT NULL AND t.source = 'futu_deals'
      AND NOT EXISTS (SELECT FROM fees_norm f WHERE f.order_uid = t.order_uid)
) AS pending
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('cash_uid', m.cash_uid, 'amount', m.amount::text) ORDER BY m.cash_uid) AS told,
           jsonb_agg(m.cash_uid ORDER BY m.cash_uid) AS names
    FROM (
        SELECT m.cash_uid, m.amount FROM cash_movements m
        WHERE m.account_id = d.account_id AND m.currency = d.currency AND m.booked_on = d.on_date
          AND m.kind IN ('TRADE', 'FEE') ORDER BY 1 LIMIT 20
    ) AS m
) AS bookings
WHERE d.on_date BETWEEN %(from_date)s AND %(to_date)s AND abs(d.delta) > d.tolerance
UNION ALL
SELECT 'FUTU', u.account_id, concat(u.account_id, ' ', u.currency, ' ', u.before_on, '..', u.business_date),
       u.business_date, u.told, u.by_day, 'ERROR', u.currency, CASE WHEN u.by_day = 0 THEN 'MISSING_B' END,
       jsonb_build_object('cash', u.cash::text, 'cash_before', (u.cash - u.told)::text, 'before_on', u.before_on,
                          'booked_in_between', u.by_day::text,
                          'rows', jsonb_build_array(
                              concat_ws('/', 'broker_balances', u.business_date, 'FUTU', u.account_id, u.currency),
                              concat_ws('/', 'broker_balances', u.before_on, 'FUTU', u.account_id, u.currency)))
FROM unbooked u
ORDER BY 3
