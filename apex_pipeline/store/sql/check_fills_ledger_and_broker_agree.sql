-- D16. For every account and instrument that a broker tells or that we hold, at every snapshot of positions: what was
-- filled, booked, transferred and opened (the source rows), what the ledger holds (positions_daily, and what is left of
-- the lots) and what the broker holds are the same, to the share (1e-8 for fractions). A finding names the pairs that
-- break, once for an instrument, on the snapshot at which a difference appeared or changed.
-- With the broker compared is what had moved at the moment of its snapshot (IB: what was reported by the end of the
-- day); not where an option just ended at Futu or a trade at IB is about to be cancelled: C02 knows what may then be
-- told. Ledger and lots are those of the last known day up to the snapshot; lots not after the ledger stopped.
-- What lots say is left of them must be what their closings and moves leave: that is told on the day on which the
-- instrument moved last, for nothing dates it better.
-- Snapshots are numbered, and every side is told by how much it changes up to each number: where a change is not the
-- same on two sides and they are apart afterwards, a difference appeared.
SET LOCAL work_mem = '64MB';
DROP TABLE IF EXISTS pg_temp.snapshots, pg_temp.accounts, pg_temp.moved, pg_temp.in_lots, pg_temp.levels;
DROP TABLE IF EXISTS pg_temp.items, pg_temp.apart;
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
), spans AS (
    SELECT a.account_id, greatest(c.last_day, m.last_moved) AS last_day,
           coalesce(least(c.first_day, m.first_moved), m.opened_on) AS first_day
    FROM (SELECT DISTINCT account_id FROM told) AS a
    LEFT JOIN LATERAL (
        SELECT min(from_date) AS first_day, max(to_date) AS last_day FROM load_coverage
        WHERE account_id = a.account_id AND data_type IN ('futu_deals', 'ib_flex')) AS c ON true
    LEFT JOIN LATERAL (
        SELECT min(business_date) AS opened_on, min(business_date) FILTER (WHERE kind <> 'OPENING') AS first_moved,
               max(business_date) AS last_moved
        FROM position_movements WHERE account_id = a.account_id) AS m ON true
), readable AS (
    SELECT t.*, s.last_day, max(business_date) FILTER (WHERE business_date < %(from_date)s::date)
                OVER (PARTITION BY broker, account_id) AS before
    FROM told t LEFT JOIN spans s USING (account_id)
    WHERE (s.first_day IS NULL OR t.business_date >= s.first_day)
      AND NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = t.broker AND q.kind = 'positions'
                      AND q.account_id = t.account_id AND q.business_date = t.business_date AND q.resolved_at IS NULL)
), asked AS (
    SELECT *, least(business_date, last_day) AS until FROM readable
    WHERE business_date >= %(from_date)s::date OR business_date = before
)
SELECT broker, account_id, business_date, as_of, is_whole_day,
       row_number() OVER (PARTITION BY broker, account_id ORDER BY as_of, business_date)::int AS n,
       -- the last known day: a weekday, or one on which something is stored or moved
       max(greatest(until - CASE extract(isodow FROM until) WHEN 6 THEN 1 WHEN 7 THEN 2 ELSE 0 END,
                    (SELECT max(p.business_date) FROM positions_daily p
                     WHERE p.account_id = a.account_id AND p.business_date BETWEEN a.until - 2 AND a.until),
                    (SELECT max(m.business_date) FROM position_movements m
                     WHERE m.account_id = a.account_id AND m.business_date BETWEEN a.until - 2 AND a.until)))
           OVER (PARTITION BY broker, account_id ORDER BY as_of, business_date) AS ledger_on
FROM asked a;
ANALYZE snapshots;

CREATE TEMPORARY TABLE accounts ON COMMIT DROP AS
SELECT broker, account_id, array_agg(as_of ORDER BY n) AS moments, array_agg(ledger_on ORDER BY n) AS ledger_days,
       array_agg(business_date ORDER BY n) AS days, broker = 'IB' AND bool_and(is_whole_day) AS by_day
FROM snapshots GROUP BY 1, 2;
ANALYZE accounts;

-- Account by account, so that no more than its own moments are at hand: the numbers from which on a row counts.
CREATE TEMPORARY TABLE moved ON COMMIT DROP AS
SELECT a.broker, a.account_id, own.*
FROM accounts a CROSS JOIN LATERAL (
    SELECT CASE a.broker WHEN 'IB' THEN s.instrument_id ELSE s.symbol END AS instrument,
           1 + width_bucket(s.on_date - 1, a.ledger_days) AS n, 1 + CASE
               WHEN a.by_day THEN width_bucket(s.told_on - 1, a.days)
               WHEN a.broker = 'IB' THEN width_bucket(
                   least(greatest(s.at, s.told_on::timestamp AT TIME ZONE 'America/New_York' + interval '1 second'),
                         (s.told_on + 1)::timestamp AT TIME ZONE 'America/New_York') - interval '1 microsecond',
                   a.moments)
               ELSE width_bucket(s.at - interval '1 microsecond', a.moments) END AS told_n,
           max(s.symbol) AS symbol, sum(s.qty) AS qty
    FROM (
        SELECT coalesce(t.instrument_id, t.symbol) AS instrument_id, t.symbol, t.trade_date AS on_date,
               coalesce(t.report_date, t.trade_date) AS told_on,
               coalesce(t.executed_at, (t.trade_date + time '23:59:59.999999') AT TIME ZONE 'UTC') AS at,
               CASE t.side WHEN 'BUY' THEN t.qty ELSE -t.qty END AS qty
        FROM trades_norm t
        WHERE t.broker = a.broker AND t.account_id = a.account_id AND t.trade_date <= %(to_date)s::date + 7
          AND t.effective
          AND t.kind <> 'CANCEL' AND t.qty > 0 AND t.asset_class NOT IN ('FX', 'COMBO')
        UNION ALL
        SELECT coalesce(c.instrument_id, c.symbol), c.symbol, c.business_date, c.business_date,
               coalesce(c.happened_at, c.business_date::timestamp AT TIME ZONE 'UTC'), c.qty
        FROM corporate_actions c
        WHERE c.broker = a.broker AND c.account_id = a.account_id AND c.qty <> 0
          AND c.asset_class NOT IN ('FX', 'COMBO')
        UNION ALL
        SELECT o.instrument_id, o.symbol, o.opened_on, o.opened_on,
               coalesce(o.opened_at, CASE WHEN o.source = 'BROKER_POSITION' THEN '1900-01-01 00:00:00+00'
                                          ELSE o.opened_on::timestamp AT TIME ZONE 'UTC' END), o.qty
        FROM opening_balances o WHERE o.broker = a.broker AND o.account_id = a.account_id
        UNION ALL
        SELECT coalesce(t.instrument_id, t.symbol), t.symbol, t.business_date, t.business_date,
               t.business_date::timestamp AT TIME ZONE 'UTC', t.qty
        FROM transfers t
        WHERE t.broker = a.broker AND t.account_id = a.account_id AND t.symbol IS NOT NULL AND t.qty <> 0
          AND t.asset_class NOT IN ('FX', 'COMBO')
          AND t.qty IS DISTINCT FROM (
              SELECT sum(o.qty) FROM opening_balances o
              WHERE o.account_id = t.account_id AND o.instrument_id = coalesce(t.instrument_id, t.symbol)
                AND (o.note = 'transfer ' || t.transfer_uid
                    OR (o.source = 'PERSON' AND o.opened_on = t.business_date)))) AS s
    GROUP BY 1, 2, 3) AS own;
CREATE TEMPORARY TABLE in_lots ON COMMIT DROP AS
SELECT a.broker, a.account_id, own.*
FROM accounts a CROSS JOIN LATERAL (
    SELECT CASE a.broker WHEN 'IB' THEN s.instrument_id ELSE s.symbol END AS instrument,
           1 + width_bucket(s.on_date - 1, a.ledger_days) AS n, max(s.symbol) AS symbol, sum(s.qty) AS qty
    FROM (
        SELECT l.instrument_id, l.symbol, l.started_on AS on_date, l.qty FROM lots l
        WHERE l.account_id = a.account_id AND l.broker = a.broker
        UNION ALL
        SELECT r.instrument_id, r.symbol, r.closed_on, CASE r.direction WHEN 'LONG' THEN -r.qty ELSE r.qty END
        FROM realized_pnl r
        WHERE r.account_id = a.account_id AND r.broker = a.broker
        UNION ALL
        SELECT v.instrument_id, l.symbol, v.moved_on, -sign(l.qty) * abs(v.qty) FROM lot_moves v
        JOIN lots l USING (lot_uid)
        WHERE v.account_id = a.account_id AND v.broker = a.broker) AS s
    GROUP BY 1, 2) AS own;
CREATE TEMPORARY TABLE levels ON COMMIT DROP AS
SELECT broker, account_id, n, instrument, max(symbol) AS symbol, sum(told) AS told, sum(ledger) AS ledger
FROM (SELECT s.broker, s.account_id, s.n,
             CASE s.broker WHEN 'IB' THEN p.broker_position_id ELSE p.symbol END AS instrument,
             p.symbol, p.qty AS told, 0 AS ledger
      FROM snapshots s JOIN broker_positions p USING (business_date, broker, account_id)
      WHERE p.asset_class NOT IN ('FX', 'COMBO') AND p.qty <> 0
      UNION ALL
      SELECT s.broker, s.account_id, s.n, CASE s.broker WHEN 'IB' THEN p.instrument_id ELSE p.symbol END,
             p.symbol, 0, p.qty
      FROM snapshots s JOIN positions_daily p ON p.business_date = s.ledger_on AND p.account_id = s.account_id
          AND p.broker = s.broker)
     AS sides
GROUP BY 1, 2, 3, 4;
-- Numbers for instruments: they are sorted and grouped far faster than their names.
CREATE TEMPORARY TABLE items ON COMMIT DROP AS
SELECT row_number() OVER ()::int AS item, broker, account_id, instrument, symbol
FROM (SELECT broker, account_id, instrument, max(symbol) AS symbol
      FROM (SELECT broker, account_id, instrument, symbol FROM moved
            UNION ALL SELECT broker, account_id, instrument, symbol FROM in_lots
            UNION ALL SELECT broker, account_id, instrument, symbol FROM levels) AS named
      GROUP BY 1, 2, 3) AS own;
ANALYZE moved (account_id, instrument, n, told_n);
ANALYZE in_lots (account_id, instrument, n);
ANALYZE levels (account_id, instrument, n);
ANALYZE items;

CREATE TEMPORARY TABLE apart ON COMMIT DROP AS
WITH followed AS (
    -- What one snapshot tells and the next does not is flat from then on.
    SELECT i.item, l.n, l.told, l.ledger, lag(l.n) OVER one AS n_before, lag(l.told) OVER one AS told_before,
           lag(l.ledger) OVER one AS ledger_before, lead(l.n) OVER one AS n_after
    FROM levels l JOIN items i USING (account_id, instrument)
    WHERE i.broker = l.broker
    WINDOW one AS (PARTITION BY i.item ORDER BY l.n)
), changes AS (
    SELECT i.item, m.n, m.qty AS by_fills, 0 AS by_moment, 0 AS by_ledger, 0 AS by_broker, 0 AS by_lots
    FROM moved m JOIN items i USING (account_id, instrument) WHERE i.broker = m.broker
    UNION ALL
    SELECT i.item, m.told_n, 0, m.qty, 0, 0, 0 FROM moved m JOIN items i USING (account_id, instrument)
    WHERE i.broker = m.broker
    UNION ALL
    SELECT item, n, 0, 0, ledger - CASE WHEN n_before = n - 1 THEN ledger_before ELSE 0 END,
           told - CASE WHEN n_before = n - 1 THEN told_before ELSE 0 END, 0
    FROM followed
    UNION ALL
    SELECT item, n + 1, 0, 0, -ledger, -told, 0 FROM followed WHERE n_after IS DISTINCT FROM n + 1
    UNION ALL
    SELECT i.item, l.n, 0, 0, 0, 0, l.qty FROM in_lots l JOIN items i USING (account_id, instrument)
    WHERE i.broker = l.broker
), by_number AS (
    SELECT item, n, sum(by_fills) AS by_fills, sum(by_moment) AS by_moment, sum(by_ledger) AS by_ledger,
           sum(by_broker) AS by_broker, sum(by_lots) AS by_lots
    FROM changes GROUP BY 1, 2
), running AS (
    SELECT item, n, sum(by_fills) OVER one AS fills, sum(by_moment) OVER one AS fills_told,
           sum(by_ledger) OVER one AS ledger,
           sum(by_broker) OVER one AS told, sum(by_lots) OVER one AS in_lots, by_broker - by_moment AS of_broker,
           by_ledger - by_fills AS of_ledger, by_lots - by_ledger AS of_lots
    FROM by_number WINDOW one AS (PARTITION BY item ORDER BY n)
), judged AS (
    SELECT *, abs(of_broker) > 1e-8 AND abs(told - fills_told) > 1e-8 AS from_broker,
           abs(of_ledger) > 1e-8 AND abs(ledger - fills) > 1e-8 AS from_ledger,
           abs(of_lots) > 1e-8 AND abs(in_lots - ledger) > 1e-8 AS from_lots
    FROM running
)
SELECT i.broker, i.account_id, i.instrument, i.symbol, j.*, s.business_date, s.as_of, s.ledger_on
FROM judged j JOIN items i USING (item) JOIN snapshots s USING (broker, account_id, n)
WHERE s.business_date >= %(from_date)s::date AND (from_broker OR from_ledger OR from_lots);
-- Where what a broker may tell is not certain, C02 decides.
UPDATE apart p SET from_broker = false
WHERE from_broker AND CASE broker
    WHEN 'FUTU' THEN EXISTS (
        SELECT FROM trades_norm t
        WHERE t.broker = 'FUTU' AND t.account_id = p.account_id AND t.symbol = p.instrument
          AND t.kind IN ('EXERCISE', 'ASSIGNMENT', 'EXPIRATION') AND t.executed_at - interval '1 day' <= p.as_of
          AND p.as_of < t.executed_at + interval '4 days'
          AND t.trade_date BETWEEN p.business_date - 6 AND p.business_date + 3)
    ELSE coalesce((
        SELECT sum(CASE t.side WHEN 'BUY' THEN t.qty ELSE -t.qty END) FROM trades_norm t
        WHERE t.broker = 'IB' AND t.account_id = p.account_id AND coalesce(t.instrument_id, t.symbol) = p.instrument
          AND NOT t.effective AND t.trade_date >= p.business_date - 40
          AND coalesce(t.report_date, t.trade_date) <= p.business_date), 0) <> 0 END;
UPDATE apart p SET from_lots = false
WHERE from_lots AND EXISTS (SELECT FROM ledger_stops s WHERE s.account_id = p.account_id
                            AND s.business_date <= p.ledger_on
                            AND p.instrument = CASE p.broker WHEN 'IB' THEN s.instrument_id ELSE s.symbol END);

WITH lots_off AS (
    SELECT lot_uid FROM (
        SELECT lot_uid, qty - remaining_qty AS qty FROM lots
        UNION ALL
        SELECT lot_uid, CASE direction WHEN 'LONG' THEN -qty ELSE qty END FROM realized_pnl WHERE lot_uid IS NOT NULL
        UNION ALL
        SELECT m.lot_uid, -sign(l.qty) * abs(m.qty) FROM lot_moves m JOIN lots l USING (lot_uid)) AS parts
    GROUP BY lot_uid HAVING abs(sum(qty)) > 1e-8
), left_over AS (
    SELECT l.broker, l.account_id, l.instrument_id, max(l.symbol) AS symbol,
           array_agg(l.lot_uid ORDER BY l.lot_uid) AS uids,
           sum(l.remaining_qty) AS remaining, coalesce(max(m.last_moved), max(l.started_on)) AS business_date,
           sum(l.qty - coalesce(r.qty, 0) - coalesce(v.qty, 0)) AS made
    FROM lots_off JOIN lots l USING (lot_uid)
    LEFT JOIN LATERAL (SELECT sum(CASE direction WHEN 'LONG' THEN qty ELSE -qty END) AS qty FROM realized_pnl
                       WHERE account_id = l.account_id AND instrument_id = l.instrument_id
                         AND lot_uid = l.lot_uid) AS r ON true
    LEFT JOIN LATERAL (SELECT sum(sign(l.qty) * abs(qty)) AS qty FROM lot_moves
                       WHERE account_id = l.account_id AND instrument_id = l.instrument_id
                         AND lot_uid = l.lot_uid) AS v ON true
    LEFT JOIN LATERAL (SELECT max(business_date) AS last_moved FROM position_movements
                       WHERE account_id = l.account_id AND instrument_id = l.instrument_id) AS m ON true
    WHERE NOT EXISTS (SELECT FROM ledger_stops s WHERE s.account_id = l.account_id
                      AND s.instrument_id = l.instrument_id)
    GROUP BY 1, 2, 3
), parts AS (
    SELECT p.broker, p.account_id, p.instrument, p.symbol, p.business_date, own.*,
           jsonb_build_object('broker', trim_scale(p.told)::text, 'fills', trim_scale(p.fills_told)::text,
                              'ledger', trim_scale(p.ledger)::text, 'lots', trim_scale(p.in_lots)::text,
                              'ledger_on', p.ledger_on) AS sides,
           '{}'::text[] AS uids
    FROM apart p CROSS JOIN LATERAL (
        SELECT 1 AS place, ARRAY['fills <> broker'] || CASE WHEN abs(p.told - p.fills_told - p.ledger + p.fills) > 1e-8
                                                            THEN ARRAY['ledger <> broker'] ELSE '{}' END AS pairs,
               p.told AS expected, p.fills_told AS actual,
               CASE WHEN p.told = 0 THEN 'MISSING_A' WHEN p.fills_told = 0 THEN 'MISSING_B' END AS cause
        WHERE p.from_broker
        UNION ALL
        SELECT 2, ARRAY['fills <> ledger'] || CASE WHEN NOT p.from_broker AND abs(p.told - p.fills_told) <= 1e-8
                                                   THEN ARRAY['ledger <> broker'] ELSE '{}' END,
               p.fills, p.ledger, 'PIPELINE'
        WHERE p.from_ledger
        UNION ALL
        SELECT 3, ARRAY['ledger <> lots'], p.ledger, p.in_lots, 'PIPELINE'
        WHERE p.from_lots AND NOT EXISTS (
            SELECT FROM left_over l
            WHERE l.broker = p.broker AND l.account_id = p.account_id
              AND p.instrument = CASE l.broker WHEN 'IB' THEN l.instrument_id ELSE l.symbol END)) AS own
    UNION ALL
    SELECT broker, account_id, CASE broker WHEN 'IB' THEN instrument_id ELSE symbol END, symbol, business_date, 4,
           ARRAY['lots <> what is left of them'], made, remaining, 'PIPELINE', '{}', uids
    FROM left_over WHERE business_date BETWEEN %(from_date)s::date AND %(to_date)s::date
), together AS (
    SELECT broker, account_id, instrument, max(symbol) AS symbol, business_date,
           (array_agg(expected ORDER BY place))[1] AS expected,
           (array_agg(actual ORDER BY place))[1] AS actual, (array_agg(cause ORDER BY place))[1] AS cause,
           string_agg(array_to_string(pairs, ', '), ', ' ORDER BY place) AS pairs,
           coalesce((array_agg(sides ORDER BY place))[1], '{}') AS sides, max(to_jsonb(uids[1:16])::text)::jsonb AS uids
    FROM parts GROUP BY 1, 2, 3, 5
)
SELECT t.broker, t.account_id, t.symbol
       || CASE WHEN t.instrument = t.symbol THEN '' ELSE ' ' || t.instrument END AS subject,
       t.business_date, trim_scale(t.expected) AS expected, trim_scale(t.actual) AS actual, 'ERROR' AS severity,
       t.cause,
       jsonb_build_object('symbol', t.symbol, 'pairs', string_to_array(t.pairs, ', '),
                          'told', trim_scale(t.expected)::text,
                          'ours', trim_scale(t.actual)::text) || t.sides || jsonb_build_object(
           'rows', (SELECT coalesce(jsonb_agg(name ORDER BY place, name), '[]') FROM (
                        (SELECT 1 AS place,
                                concat_ws('/', 'positions_daily', p.business_date, p.account_id,
                                          p.instrument_id) AS name
                         FROM positions_daily p
                         WHERE p.business_date = (t.sides ->> 'ledger_on')::date AND p.account_id = t.account_id
                           AND p.broker = t.broker
                           AND t.instrument = CASE t.broker WHEN 'IB' THEN p.instrument_id ELSE p.symbol END)
                        UNION ALL
                        (SELECT 2,
                                concat_ws('/', 'broker_positions', p.business_date, p.broker, p.account_id,
                                          p.broker_position_id)
                         FROM broker_positions p
                         WHERE p.business_date = t.business_date AND p.broker = t.broker AND p.account_id = t.account_id
                           AND t.instrument = CASE t.broker WHEN 'IB' THEN p.broker_position_id ELSE p.symbol END
                         ORDER BY 2 LIMIT 3)
                        UNION ALL
                        (SELECT 3, uid FROM jsonb_array_elements_text(t.uids) AS uid)
                        UNION ALL
                        (SELECT 4, m.movement_uid FROM position_movements m
                         WHERE m.broker = t.broker AND m.account_id = t.account_id
                           AND m.business_date <= t.business_date
                           AND t.instrument = CASE t.broker WHEN 'IB' THEN m.instrument_id ELSE m.symbol END
                         ORDER BY m.business_date DESC, m.ordered_at DESC, m.movement_uid LIMIT 16)
                        ORDER BY 1, 2 LIMIT 20) AS names)) AS evidence
FROM together t
ORDER BY 1, 2, 3, 4
