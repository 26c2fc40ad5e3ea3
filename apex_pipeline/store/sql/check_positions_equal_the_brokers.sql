-- C02. What our movements sum up to, against every snapshot of positions that could be read, to the share (1e-8 for
-- fractions); an empty one says that nothing was held, a day without one says nothing. A statement of IB is of the end
-- of its day, and what it reports later counts from its report on; a snapshot of Futu or TWS is of the instant at which
-- it was told. A difference is a finding of the snapshot in which it appeared or changed, not of those in which it
-- lasts. Two sums are kept, and one of them must agree. IB: without and with what was cancelled later, for statements
-- told before the cancel. Futu: how an option ended is known by the day, so it may be in a snapshot of these days or
-- not; of several ends the earlier ones may be in it and the later ones not.
-- Snapshots are numbered, from the newest before the first day on; a movement counts from the first number on whose
-- moment it is in: a position is a step function of that number, and only held steps are compared.
SET LOCAL work_mem = '64MB';
DROP TABLE IF EXISTS pg_temp.snapshots, pg_temp.accounts, pg_temp.placed, pg_temp.differing;
CREATE TEMPORARY TABLE snapshots ON COMMIT DROP AS
WITH told AS (
    SELECT 'FUTU' COLLATE "C" AS broker, account_id, business_date, max(coalesce(generated_at, fetched_at)) AS as_of,
           false AS is_whole_day
    FROM positions_raw_futu WHERE business_date <= %(to_date)s::date GROUP BY account_id, business_date
    UNION ALL
    SELECT 'IB', account_id, business_date,
           CASE WHEN bool_and(record_key LIKE 'tws:%%') THEN max(coalesce(generated_at, fetched_at))
                ELSE (business_date + 1)::timestamp AT TIME ZONE 'America/New_York' END,
           NOT bool_and(record_key LIKE 'tws:%%')
    FROM positions_raw_ib WHERE business_date <= %(to_date)s::date GROUP BY account_id, business_date
), readable AS (
    SELECT t.*, max(business_date) FILTER (WHERE business_date < %(from_date)s::date)
                OVER (PARTITION BY broker, account_id) AS before
    FROM told t
    WHERE NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = t.broker AND q.kind = 'positions'
                      AND q.account_id = t.account_id AND q.business_date = t.business_date AND q.resolved_at IS NULL)
)
SELECT broker, account_id, business_date, as_of, is_whole_day,
       row_number() OVER (PARTITION BY broker, account_id ORDER BY as_of, business_date)::int AS n
FROM readable WHERE business_date >= %(from_date)s::date OR business_date = before;
ANALYZE snapshots;

CREATE TEMPORARY TABLE accounts ON COMMIT DROP AS
SELECT broker, account_id, array_agg(as_of ORDER BY n) AS moments, array_agg(business_date ORDER BY n) AS days,
       count(*)::int AS last, min(business_date) - 40 AS since, broker = 'IB' AND bool_and(is_whole_day) AS by_day
FROM snapshots GROUP BY 1, 2;
ANALYZE accounts;

-- Whatever was reported forty days before the first snapshot was reported before it.
CREATE TEMPORARY TABLE placed ON COMMIT DROP AS
WITH reported AS (
    SELECT trade_uid, report_date FROM trades_norm
    WHERE broker = 'IB' AND report_date <> trade_date AND trade_date >= (SELECT min(since) FROM accounts)
), recent AS (
    SELECT a.broker, a.account_id, m.instrument_id, m.symbol, m.kind, m.qty, m.qty AS early_qty,
           coalesce(m.moved_at, m.ordered_at) AS moved_at, coalesce(r.report_date, m.business_date) AS on_date,
           a.moments, a.days, a.by_day
    FROM accounts a JOIN position_movements m USING (broker, account_id)
    LEFT JOIN reported r ON r.trade_uid = m.movement_uid
    WHERE m.business_date BETWEEN a.since AND %(to_date)s::date + 7 AND m.asset_class NOT IN ('FX', 'COMBO')
    UNION ALL
    SELECT a.broker, a.account_id, coalesce(t.instrument_id, t.symbol), t.symbol, t.kind,
           CASE t.side WHEN 'BUY' THEN t.qty ELSE -t.qty END, 0, t.executed_at, coalesce(t.report_date, t.trade_date),
           a.moments, a.days, a.by_day
    FROM accounts a JOIN trades_norm t USING (broker, account_id)
    WHERE NOT t.effective AND t.broker = 'IB' AND t.asset_class NOT IN ('FX', 'COMBO')
      AND t.trade_date BETWEEN a.since AND %(to_date)s::date
), numbered AS (
    SELECT r.broker, r.account_id, r.instrument_id, r.symbol, r.early_qty, r.qty AS late_qty, 1 + place.early AS early,
           1 + CASE WHEN place.is_end
                    THEN width_bucket(r.moved_at + interval '4 days' - interval '1 microsecond', r.moments)
                    ELSE place.early END AS late,
           CASE WHEN place.is_end THEN r.on_date END AS ended_on
    FROM recent r CROSS JOIN LATERAL (
        SELECT CASE
            WHEN r.by_day THEN width_bucket(r.on_date - 1, r.days)
            WHEN r.broker = 'IB' THEN width_bucket(
                least(greatest(coalesce(r.moved_at, 'infinity'),
                               r.on_date::timestamp AT TIME ZONE 'America/New_York' + interval '1 second'),
                      (r.on_date + 1)::timestamp AT TIME ZONE 'America/New_York') - interval '1 microsecond', r.moments)
            WHEN r.kind IN ('EXERCISE', 'ASSIGNMENT', 'EXPIRATION')
            THEN width_bucket(r.moved_at - interval '1 day' - interval '1 microsecond', r.moments)
            ELSE width_bucket(r.moved_at - interval '1 microsecond', r.moments) END AS early,
            r.broker = 'FUTU' AND r.kind IN ('EXERCISE', 'ASSIGNMENT', 'EXPIRATION') AS is_end) AS place
)
SELECT broker, account_id, CASE broker WHEN 'IB' THEN instrument_id ELSE symbol END AS instrument,
       early, late, ended_on,
       max(instrument_id) AS instrument_id, max(symbol) AS symbol, sum(early_qty) AS early_qty,
       sum(late_qty) AS late_qty
FROM numbered GROUP BY 1, 2, 3, 4, 5, 6
UNION ALL
SELECT m.broker, m.account_id, CASE m.broker WHEN 'IB' THEN m.instrument_id ELSE m.symbol END, 1, 1, NULL,
       max(m.instrument_id), max(m.symbol), sum(m.qty), sum(m.qty)
FROM accounts a JOIN position_movements m USING (broker, account_id)
WHERE m.business_date < a.since AND m.asset_class NOT IN ('FX', 'COMBO')
GROUP BY 1, 2, 3;
ANALYZE placed (account_id, instrument);

CREATE TEMPORARY TABLE differing ON COMMIT DROP AS
WITH steps AS (
    SELECT broker, account_id, instrument, n, max(symbol) AS symbol, sum(early_qty) AS early_qty,
           sum(late_qty) AS late_qty
    FROM (SELECT broker, account_id, instrument, symbol, early AS n, early_qty,
                 CASE WHEN early = late THEN late_qty ELSE 0 END AS late_qty FROM placed
          UNION ALL
          SELECT broker, account_id, instrument, symbol, late, 0, late_qty FROM placed WHERE early < late) AS changes
    GROUP BY 1, 2, 3, 4
), running AS (
    SELECT broker, account_id, instrument, symbol, n, lead(n) OVER one AS next, sum(early_qty) OVER one AS early_qty,
           sum(late_qty) OVER one AS late_qty
    FROM steps WINDOW one AS (PARTITION BY broker, account_id, instrument ORDER BY n)
), ours AS (
    SELECT r.broker, r.account_id, held.n, r.instrument, r.symbol, r.early_qty, r.late_qty
    FROM running r JOIN accounts a USING (broker, account_id)
    CROSS JOIN LATERAL generate_series(r.n, least(coalesce(r.next - 1, a.last), a.last)) AS held (n)
    WHERE r.early_qty <> 0 OR r.late_qty <> 0
), told AS (
    SELECT s.broker, s.account_id, s.n,
           CASE s.broker WHEN 'IB' THEN p.broker_position_id ELSE p.symbol END AS instrument,
           max(p.symbol) AS symbol, sum(p.qty) AS qty
    FROM snapshots s JOIN broker_positions p USING (business_date, broker, account_id)
    WHERE p.asset_class NOT IN ('FX', 'COMBO')
    GROUP BY 1, 2, 3, 4
)
-- All that the difference may be: by both sums, and by those with the ends up to each of their days.
SELECT broker, account_id, n, instrument, coalesce(t.symbol, o.symbol) AS symbol, coalesce(t.qty, 0) AS told,
       coalesce(o.early_qty, 0) AS ours, coalesce(o.late_qty, 0) AS late_qty,
       ARRAY[coalesce(t.qty, 0) - coalesce(o.early_qty, 0), coalesce(t.qty, 0) - coalesce(o.late_qty, 0)] AS deltas
FROM told t FULL JOIN ours o USING (broker, account_id, n, instrument)
WHERE abs(coalesce(t.qty, 0) - coalesce(o.early_qty, 0)) > 1e-8
  AND abs(coalesce(t.qty, 0) - coalesce(o.late_qty, 0)) > 1e-8;
UPDATE differing d SET deltas = d.deltas || e.deltas
FROM (SELECT broker, account_id, n, instrument, array_agg(told - late_qty - ended) AS deltas
      FROM (SELECT f.broker, f.account_id, f.n, f.instrument, f.told, f.late_qty,
                   sum(p.late_qty) OVER (PARTITION BY f.broker, f.account_id, f.instrument, f.n
                       ORDER BY p.ended_on) AS ended
            FROM differing f JOIN placed p USING (broker, account_id, instrument)
            WHERE p.ended_on IS NOT NULL AND p.early <= f.n AND f.n < p.late) AS ends
      GROUP BY 1, 2, 3, 4) AS e
WHERE e.broker = d.broker AND e.account_id = d.account_id AND e.n = d.n AND e.instrument = d.instrument;
DELETE FROM differing d WHERE EXISTS (SELECT FROM unnest(d.deltas) AS delta WHERE abs(delta) <= 1e-8);
CREATE INDEX ON differing (account_id, instrument, n);
ANALYZE differing;

WITH appeared AS (
    SELECT d.*, s.business_date, s.as_of, b.business_date AS before_date, b.n IS NULL AS is_first,
           d.symbol || CASE WHEN d.instrument = d.symbol THEN '' ELSE ' ' || d.instrument END AS subject
    FROM differing d
    JOIN snapshots s USING (broker, account_id, n)
    LEFT JOIN snapshots b ON b.broker = d.broker AND b.account_id = d.account_id AND b.n = d.n - 1
    WHERE s.business_date >= %(from_date)s::date
      AND NOT EXISTS (SELECT FROM differing p, unnest(p.deltas) AS was, unnest(d.deltas) AS delta
                      WHERE p.broker = d.broker AND p.account_id = d.account_id AND p.instrument = d.instrument
                      AND p.n = d.n - 1 AND abs(was - delta) <= 1e-8)
), described AS (
    SELECT a.*, a.told - a.ours AS lacking, row_told.row AS broker_row, row_before.row AS broker_row_before,
           coalesce(moved.instrument_id, CASE a.broker WHEN 'IB' THEN i.ib_conid ELSE i.futu_code END, a.instrument)
               AS instrument_id,
           moved.instrument_id IS NOT NULL AS is_known, i.multiplier, i.expiry,
           coalesce(row_told.asset_class, i.asset_class) AS asset_class,
           coalesce(row_told.underlying, i.underlying) AS underlying,
           coalesce(row_told.currency, i.currency) AS currency
    FROM appeared a
    LEFT JOIN instruments i ON i.symbol = a.symbol
    LEFT JOIN (
        SELECT broker, account_id, instrument, max(instrument_id) AS instrument_id, min(early) AS n FROM placed
        GROUP BY 1, 2, 3
    ) AS moved ON moved.broker = a.broker AND moved.account_id = a.account_id AND moved.instrument = a.instrument
              AND moved.n <= a.n
    LEFT JOIN LATERAL (
        SELECT jsonb_build_object('quantity', trim_scale(sum(p.qty))::text,
                                  'cost', trim_scale(sum(p.qty * p.average_cost))::text,
                                  'source', max(p.source)) AS row,
               max(p.asset_class) AS asset_class, max(p.underlying) AS underlying, max(p.currency) AS currency
        FROM broker_positions p
        WHERE p.business_date = a.business_date AND p.broker = a.broker AND p.account_id = a.account_id
          AND a.instrument = CASE a.broker WHEN 'IB' THEN p.broker_position_id ELSE p.symbol END
        HAVING count(*) > 0
    ) AS row_told ON true
    LEFT JOIN LATERAL (
        SELECT jsonb_build_object('quantity', trim_scale(sum(p.qty))::text,
                                  'cost', trim_scale(sum(p.qty * p.average_cost))::text) AS row
        FROM broker_positions p
        WHERE p.business_date = a.before_date AND p.broker = a.broker AND p.account_id = a.account_id
          AND a.instrument = CASE a.broker WHEN 'IB' THEN p.broker_position_id ELSE p.symbol END
        HAVING count(*) > 0
    ) AS row_before ON true
), explained AS (
    SELECT d.*, CASE WHEN EXISTS (SELECT FROM ledger_stops l
                                  WHERE l.account_id = d.account_id AND l.instrument_id = d.instrument_id
                                  AND l.business_date <= d.business_date)
                       OR EXISTS (SELECT FROM corporate_actions c
                                  WHERE c.broker = d.broker AND c.account_id = d.account_id
                                  AND coalesce(c.instrument_id, c.symbol) = d.instrument_id AND c.qty <> 0
                                  AND c.business_date <= d.business_date AND c.business_date > d.before_date)
                       -- Another quantity of the same cost, and nothing moved: that is how a split shows.
                       OR (d.told * (d.broker_row_before ->> 'quantity')::numeric > 0 AND NOT moves.any_at_all
                           AND abs((d.broker_row ->> 'cost')::numeric - (d.broker_row_before ->> 'cost')::numeric)
                               <= abs((d.broker_row ->> 'cost')::numeric) * 1e-3)
                     THEN 'CORP_ACTION'
                     WHEN cardinality(refused.uids) > 0 THEN 'PIPELINE'
                     -- What was held before anything was told, or was closed without having been opened, was there
                     -- before. It is as bad as a lost trade, which looks the same: whoever knows better signs an
                     -- opening balance.
                     WHEN d.is_first AND (NOT d.is_known OR unopened.closed_on IS NOT NULL) THEN 'OPENING_BALANCE'
                     WHEN d.told = 0 AND d.expiry <= d.business_date THEN 'LIFECYCLE'
                     WHEN d.ours = 0 THEN 'MISSING_B' WHEN d.told = 0 THEN 'MISSING_A' END AS cause,
           moves.uids, moves.any_at_all AS moved_at_all, refused.uids AS refused, unopened.closed_on AS held_on
    FROM described d
    CROSS JOIN LATERAL (
        SELECT min(r.closed_on) AS closed_on FROM realized_pnl r
        WHERE r.account_id = d.account_id AND r.instrument_id = d.instrument_id AND r.lot_uid IS NULL
          AND r.closed_on <= d.business_date
    ) AS unopened
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(m.movement_uid ORDER BY m.business_date DESC, m.ordered_at DESC, m.movement_uid),
               '{}') AS uids,
               coalesce(bool_or(m.business_date > d.before_date), false) AS any_at_all
        FROM (SELECT * FROM position_movements m
              WHERE m.broker = d.broker AND m.account_id = d.account_id AND m.instrument_id = d.instrument_id
                AND m.business_date <= d.business_date AND m.business_date >= coalesce(d.before_date, '-infinity')
              ORDER BY m.business_date DESC, m.ordered_at DESC, m.movement_uid LIMIT 17) AS m
    ) AS moves
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(q.quarantine_uid ORDER BY q.quarantine_uid), '{}') AS uids FROM quarantine q
        WHERE q.broker = d.broker AND q.account_id = d.account_id AND q.kind IN ('trades', 'provisional')
          AND q.resolved_at IS NULL AND q.business_date <= d.business_date
          AND q.business_date >= coalesce(d.before_date, '-infinity')
          AND d.instrument_id IN (q.payload ->> 'conid', concat('US.', q.payload ->> 'code'),
                                  concat('HK.', q.payload ->> 'code'))
    ) AS refused
), acted AS (
    -- Corporate actions and transfers between the two snapshots. One that was told twice, with another quantity, or
    -- not at all (where another quantity has the same cost, or one side of an exchange stands alone) would set the
    -- difference right.
    SELECT e.account_id, e.instrument, e.n, jsonb_build_array(CASE
               WHEN lone.uid IS NOT NULL THEN jsonb_build_object(
                   'do', 'insert', 'table', 'corporate_actions', 'row', jsonb_build_object(
                       'action_uid', lone.uid || '~', 'broker', e.broker, 'account_id', e.account_id,
                       'business_date', lone.business_date, 'broker_action_id', lone.broker_action_id,
                       'broker_kind', lone.broker_kind, 'kind', lone.kind, 'symbol', e.symbol,
                       'underlying', e.underlying, 'asset_class', e.asset_class,
                       'qty', trim_scale(e.lacking)::text, 'currency', e.currency, 'happened_at', lone.happened_at,
                       'description', lone.description, 'instrument_id', e.instrument_id, 'source', lone.source))
               WHEN a.uids IS NULL THEN jsonb_build_object(
                   'do', 'insert', 'table', 'corporate_actions', 'row', jsonb_build_object(
                       'action_uid', concat_ws('_', 'PERSON', e.broker, e.account_id, e.instrument_id, e.business_date),
                       'broker', e.broker, 'account_id', e.account_id, 'business_date', e.business_date,
                       'broker_kind', 'FS', 'kind', 'SPLIT', 'symbol', e.symbol, 'underlying', e.underlying,
                       'asset_class', e.asset_class, 'qty', trim_scale(e.lacking)::text, 'currency', e.currency,
                       'instrument_id', e.instrument_id, 'source', 'PERSON'))
               WHEN a.surplus IS NOT NULL THEN jsonb_build_object(
                   'do', 'delete', 'table', a.names[1],
                   'key', jsonb_build_object(a.keys[1], a.surplus, 'business_date', a.days[1]))
               ELSE jsonb_build_object(
                   'do', 'update', 'table', a.names[1], 'key', jsonb_build_object(a.keys[1], a.uids[1]),
                   'row', jsonb_build_object('business_date', a.days[1], 'qty', trim_scale(a.qty + e.lacking)::text))
           END) AS rows
    FROM explained e CROSS JOIN LATERAL (
        SELECT array_agg(uid) AS uids, array_agg(name) AS names, array_agg(key) AS keys, array_agg(on_date) AS days,
               sum(qty) AS qty, max(uid) FILTER (WHERE qty = -e.lacking) AS surplus, count(*) AS rows
        FROM (
            SELECT c.action_uid AS uid, 'corporate_actions' AS name, 'action_uid' AS key, c.business_date AS on_date,
                   c.qty
            FROM corporate_actions c
            WHERE c.broker = e.broker AND c.account_id = e.account_id
              AND coalesce(c.instrument_id, c.symbol) = e.instrument_id
              AND c.qty <> 0 AND c.business_date > e.before_date AND c.business_date <= e.business_date
            UNION ALL
            SELECT t.transfer_uid, 'transfers', 'transfer_uid', t.business_date, t.qty FROM transfers t
            WHERE t.broker = e.broker AND t.account_id = e.account_id
              AND coalesce(t.instrument_id, t.symbol) = e.instrument_id
              AND t.qty <> 0 AND t.business_date > e.before_date AND t.business_date <= e.business_date
        ) AS acts
    ) AS a
    LEFT JOIN LATERAL (
        SELECT min(c.action_uid) AS uid, min(c.business_date) AS business_date,
               min(c.broker_action_id) AS broker_action_id, min(c.broker_kind) AS broker_kind,
               min(c.happened_at) AS happened_at, min(c.source) AS source, min(c.description) AS description,
               min(c.kind) AS kind
        FROM corporate_actions c
        WHERE c.broker = e.broker AND c.account_id = e.account_id AND c.qty > 0
          AND c.broker_kind IN ('IC', 'RS', 'TC', 'CC')
          AND c.business_date > e.before_date AND c.business_date <= e.business_date
          AND coalesce(c.proceeds, 0) = 0
          AND NOT EXISTS (SELECT FROM corporate_actions o
                          WHERE o.account_id = c.account_id AND o.broker_action_id = c.broker_action_id
                            AND o.action_uid <> c.action_uid)
        HAVING count(*) = 1
    ) AS lone ON a.uids IS NULL AND e.told = 0 AND e.ours > 0
    WHERE CASE WHEN lone.uid IS NOT NULL THEN true
               WHEN a.uids IS NULL THEN e.cause = 'CORP_ACTION' AND NOT e.moved_at_all AND e.told * e.ours > 0
               ELSE a.surplus IS NOT NULL OR a.rows = 1 END
), swapped AS (
    -- One trade is all that moved a contract which the broker does not hold, and of another contract of the same underlying
    -- just that is lacking: it was of the other one.
    SELECT e.account_id, e.instrument, e.n, jsonb_build_array(
               jsonb_build_object(
                   'do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', min(t.trade_uid)),
                   'row', jsonb_strip_nulls(jsonb_build_object(
                       'trade_date', min(t.trade_date), 'symbol', min(i.symbol), 'underlying', min(i.underlying),
                       'asset_class', min(i.asset_class), 'multiplier', min(i.multiplier)::text,
                       'amount', trim_scale(min(t.qty * t.price * i.multiplier))::text,
                       'instrument_id', min(CASE e.broker WHEN 'FUTU' THEN i.futu_code ELSE i.ib_conid END)))))
           -- an order of IB is of the contract of its trades
           || CASE WHEN min(e.broker) = 'IB' AND min(r.order_uid) IS NOT NULL THEN jsonb_build_array(jsonb_build_object(
                  'do', 'update', 'table', 'orders_norm', 'key', jsonb_build_object('order_uid', min(r.order_uid)),
                  'row', jsonb_build_object('trade_date', min(r.trade_date), 'symbol', min(i.symbol)))) ELSE '[]' END AS rows
    FROM explained e
    JOIN explained o ON o.broker = e.broker AND o.account_id = e.account_id AND o.n = e.n AND o.lacking = -e.lacking
                    AND o.underlying = e.underlying AND o.instrument <> e.instrument
    JOIN trades_norm t ON t.trade_uid = e.uids[1]
    JOIN instruments i ON i.symbol = o.symbol
    LEFT JOIN orders_norm r ON r.order_uid = t.order_uid AND r.symbol = e.symbol AND r.legs IS NULL
    WHERE cardinality(e.uids) = 1 AND e.told = 0
    GROUP BY 1, 2, 3 HAVING count(*) = 1
)
SELECT broker, account_id, subject, business_date, trim_scale(told) AS expected, trim_scale(ours) AS actual,
       'ERROR' AS severity, cause,
       jsonb_strip_nulls(jsonb_build_object(
           'symbol', symbol, 'instrument_id', instrument_id, 'told', trim_scale(told)::text,
           'ours', trim_scale(ours)::text,
           'broker_row', broker_row, 'compared_before_on', before_date, 'broker_row_before', broker_row_before,
           'quarantined', CASE WHEN cardinality(refused) > 0 THEN to_jsonb(refused) END,
           'rows', (SELECT coalesce(jsonb_agg(name ORDER BY place, name), '[]') FROM (
                        SELECT 1 AS place,
                               concat_ws('/', 'positions_daily', p.business_date, p.account_id, p.instrument_id) AS name
                        FROM positions_daily p
                        WHERE p.business_date = e.business_date AND p.account_id = e.account_id
                          AND p.instrument_id = e.instrument_id
                        UNION ALL
                        SELECT 2,
                               concat_ws('/', 'broker_positions', p.business_date, p.broker, p.account_id,
                                         p.broker_position_id)
                        FROM broker_positions p
                        WHERE p.business_date = e.business_date AND p.broker = e.broker AND p.account_id = e.account_id
                          AND e.instrument = CASE e.broker WHEN 'IB' THEN p.broker_position_id ELSE p.symbol END
                        UNION ALL
                        SELECT 3, uid FROM unnest(e.uids) AS uid
                        ORDER BY 1, 2 LIMIT 20) AS names),
           'set_right', CASE WHEN acted.rows IS NOT NULL THEN acted.rows
                             WHEN swapped.rows IS NOT NULL THEN swapped.rows
                             -- something moved it, as a transfer would
                             WHEN cause IS NULL AND before_date IS NOT NULL THEN jsonb_build_array(jsonb_build_object(
               'do', 'insert', 'table', 'transfers', 'row', jsonb_build_object(
                   'transfer_uid', concat_ws('_', 'PERSON', broker, account_id, instrument_id, business_date),
                   'broker', broker, 'account_id', account_id, 'instrument_id', instrument_id, 'symbol', symbol,
                   'underlying', underlying, 'asset_class', asset_class, 'qty', trim_scale(lacking)::text,
                   'direction', CASE WHEN lacking > 0 THEN 'IN' ELSE 'OUT' END, 'business_date', business_date,
                   'currency', currency, 'source', 'PERSON')))
                             WHEN cause = 'OPENING_BALANCE' OR cause IS NULL THEN jsonb_build_array(jsonb_build_object(
               'do', 'insert', 'table', 'opening_balances', 'row', jsonb_build_object(
                   'opening_uid', concat_ws('_', 'PERSON', broker, account_id, instrument_id, business_date),
                   'broker', broker, 'account_id', account_id, 'instrument_id', instrument_id, 'symbol', symbol,
                   'underlying', underlying, 'asset_class', asset_class, 'qty', trim_scale(lacking)::text,
                   -- held when it was closed, or else when it was told
                   'opened_on', least(business_date, (as_of AT TIME ZONE 'UTC')::date,
                                      CASE WHEN cause = 'OPENING_BALANCE' THEN held_on END),
                   'multiplier', trim_scale(multiplier)::text,
                   'currency', currency, 'source', 'PERSON'))) END)) AS evidence
FROM explained e LEFT JOIN acted USING (account_id, instrument, n) LEFT JOIN swapped USING (account_id, instrument, n)
ORDER BY 1, 2, 3, 4
