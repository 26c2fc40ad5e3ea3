-- C01. The position of a day is that of the day before and all that moved it on this day, to the share (1e-8 for
-- fractions); and what moved it are the effective trades, corporate actions, transfers and openings themselves, one
-- movement each, with the same signed quantity on the same day. Both tables are ours, so where they differ something
-- was changed, lost or added beside the pipeline.
-- Where one row is to blame (a movement without its source, a source without its movement, or another quantity), that
-- row is the finding and the position that it makes is none. Else the position is, on the day on which it came to
-- differ from the sum of its movements or differs by another amount: not on those on which this lasts, nor where it
-- ends. The known days of an account are numbered as positions_days does it: weekdays, and days with a movement or a
-- snapshot.
SET LOCAL work_mem = '64MB';
DROP TABLE IF EXISTS pg_temp.known_days, pg_temp.blamed;
CREATE TEMPORARY TABLE known_days ON COMMIT DROP AS
WITH accounts AS (
    SELECT m.account_id, min(m.broker) AS broker, min(m.business_date) AS opened_on,
           min(m.business_date) FILTER (WHERE m.kind <> 'OPENING') AS first_moved, max(m.business_date) AS last_moved
    FROM position_movements m GROUP BY 1
    UNION ALL
    SELECT DISTINCT p.account_id, p.broker, NULL::date, NULL::date, NULL::date FROM positions_daily p
    WHERE NOT EXISTS (SELECT FROM position_movements m WHERE m.account_id = p.account_id)
), spans AS (
    SELECT a.account_id, a.broker, coalesce(least(c.first_day, a.first_moved), a.opened_on) AS first_day,
           greatest(c.last_day, a.last_moved) AS last_day
    FROM accounts a LEFT JOIN LATERAL (
        SELECT min(from_date) AS first_day, max(to_date) AS last_day FROM load_coverage
        WHERE account_id = a.account_id AND data_type IN ('futu_deals', 'ib_flex')) AS c ON true
), days AS (
    SELECT s.account_id, day::date AS on_date
    FROM spans s, generate_series(s.first_day, s.last_day, interval '1 day') AS day WHERE extract(isodow FROM day) < 6
    UNION
    SELECT m.account_id, m.business_date FROM position_movements m JOIN spans s USING (account_id)
    WHERE m.business_date BETWEEN s.first_day AND s.last_day
    UNION
    SELECT b.account_id, b.business_date FROM broker_positions b JOIN spans s USING (account_id)
    WHERE b.business_date BETWEEN s.first_day AND s.last_day
    UNION
    SELECT account_id, business_date FROM positions_daily
), before AS (
    SELECT account_id, max(on_date) AS on_date FROM days WHERE on_date < %(from_date)s::date GROUP BY 1
)
SELECT d.account_id, s.broker, array_agg(d.on_date ORDER BY d.on_date) AS days, count(*)::int AS last,
       (b.on_date IS NOT NULL)::int AS base
FROM days d JOIN spans s USING (account_id) LEFT JOIN before b USING (account_id)
WHERE d.on_date <= %(to_date)s::date AND d.on_date >= coalesce(b.on_date, d.on_date)
GROUP BY d.account_id, s.broker, b.on_date;
ANALYZE known_days;

CREATE TEMPORARY TABLE blamed ON COMMIT DROP AS
WITH sources AS (
    SELECT 'trades_norm' AS name, trade_uid AS uid, broker, account_id,
           coalesce(instrument_id, symbol) AS instrument_id, symbol,
           trade_date AS on_date, CASE side WHEN 'BUY' THEN qty ELSE -qty END AS qty
    FROM trades_norm
    WHERE trade_date BETWEEN %(from_date)s::date AND %(to_date)s::date AND effective AND kind <> 'CANCEL' AND qty > 0
      AND asset_class NOT IN ('FX', 'COMBO')
    UNION ALL
    SELECT 'corporate_actions', action_uid, broker, account_id, coalesce(instrument_id, symbol), symbol, business_date,
           qty
    FROM corporate_actions
    WHERE business_date BETWEEN %(from_date)s::date AND %(to_date)s::date AND qty <> 0
      AND asset_class NOT IN ('FX', 'COMBO')
    UNION ALL
    SELECT 'opening_balances', opening_uid, broker, account_id, instrument_id, symbol, opened_on, qty
    FROM opening_balances WHERE opened_on BETWEEN %(from_date)s::date AND %(to_date)s::date
    UNION ALL
    -- A transfer whose lots are named by openings is told by them.
    SELECT 'transfers', t.transfer_uid, t.broker, t.account_id, coalesce(t.instrument_id, t.symbol), t.symbol,
           t.business_date, t.qty
    FROM transfers t
    WHERE t.business_date BETWEEN %(from_date)s::date AND %(to_date)s::date AND t.symbol IS NOT NULL AND t.qty <> 0
      AND t.asset_class NOT IN ('FX', 'COMBO')
      AND t.qty IS DISTINCT FROM (
          SELECT sum(o.qty) FROM opening_balances o
          WHERE o.account_id = t.account_id AND o.instrument_id = coalesce(t.instrument_id, t.symbol)
            AND (o.note = 'transfer ' || t.transfer_uid OR (o.source = 'PERSON' AND o.opened_on = t.business_date)))
), moved AS (
    SELECT movement_uid AS uid, broker, account_id, instrument_id, symbol, business_date AS on_date, qty
    FROM position_movements WHERE business_date BETWEEN %(from_date)s::date AND %(to_date)s::date
)
SELECT uid, broker, coalesce(s.account_id, m.account_id) AS account_id,
       coalesce(s.instrument_id, m.instrument_id) AS instrument_id,
       coalesce(s.symbol, m.symbol) AS symbol, coalesce(s.on_date, m.on_date) AS on_date, s.name, s.qty AS told,
       m.qty AS ours,
       m.instrument_id AS moved_instrument, m.on_date AS moved_on
FROM sources s FULL JOIN moved m USING (uid, broker)
WHERE abs(s.qty - m.qty) > 1e-8 OR s.uid IS NULL OR m.uid IS NULL OR s.on_date <> m.on_date
   OR s.account_id <> m.account_id OR s.instrument_id <> m.instrument_id;
-- Only one side stands on these days: it may be on another day of the other.
UPDATE blamed b SET ours = m.qty, moved_instrument = m.instrument_id, moved_on = m.business_date
FROM position_movements m WHERE m.movement_uid = b.uid AND b.ours IS NULL;
DELETE FROM blamed b WHERE b.name IS NULL AND EXISTS (
    SELECT FROM trades_norm t
    WHERE t.trade_uid = b.uid AND t.effective AND t.kind <> 'CANCEL' AND t.qty > 0 AND t.trade_date <> b.on_date);
DELETE FROM blamed b WHERE b.name IS NULL AND EXISTS (
    SELECT FROM corporate_actions c WHERE c.action_uid = b.uid AND c.qty <> 0 AND c.business_date <> b.on_date
    UNION ALL SELECT FROM opening_balances o WHERE o.opening_uid = b.uid AND o.opened_on <> b.on_date
    UNION ALL SELECT FROM transfers t WHERE t.transfer_uid = b.uid AND t.qty <> 0 AND t.business_date <> b.on_date);
ANALYZE blamed;

WITH stored AS (
    SELECT k.account_id, p.instrument_id, width_bucket(p.business_date, k.days) AS n, p.qty, p.symbol
    FROM known_days k JOIN positions_daily p
        ON p.account_id = k.account_id AND p.business_date >= k.days[1] AND p.business_date <= %(to_date)s::date
), followed AS (
    SELECT account_id, instrument_id, symbol, n, qty, lag(n) OVER one AS n_before, lag(qty) OVER one AS qty_before,
           lead(n) OVER one AS n_after
    FROM stored WINDOW one AS (PARTITION BY account_id, instrument_id ORDER BY n)
), changes AS (
    SELECT account_id, instrument_id, symbol, n, qty - CASE WHEN n_before = n - 1 THEN qty_before ELSE 0 END AS stored,
           0 AS moved
    FROM followed
    UNION ALL
    -- A position of which the next known day tells nothing is flat from then on.
    SELECT f.account_id, f.instrument_id, f.symbol, f.n + 1, -f.qty, 0
    FROM followed f JOIN known_days k USING (account_id)
    WHERE f.n < k.last AND f.n_after IS DISTINCT FROM f.n + 1
    UNION ALL
    SELECT k.account_id, m.instrument_id, m.symbol, least(1 + width_bucket(m.business_date - 1, k.days), k.last), 0,
           m.qty
    FROM known_days k JOIN position_movements m USING (account_id)
    WHERE m.business_date <= %(to_date)s::date AND m.business_date <= k.days[k.last]
), by_day AS (
    SELECT account_id, instrument_id, n, max(symbol) AS symbol, sum(stored) AS stored, sum(moved) AS moved
    FROM changes WHERE stored <> 0 OR moved <> 0 GROUP BY 1, 2, 3
), rolled AS (
    SELECT *, sum(stored) OVER one AS position, sum(moved) OVER one AS made
    FROM by_day WINDOW one AS (PARTITION BY account_id, instrument_id ORDER BY n)
), parted AS (
    SELECT *, lead(n) OVER (PARTITION BY account_id, instrument_id ORDER BY n) AS next_n FROM rolled
    WHERE abs(stored - moved) > 1e-8
), apart AS (
    SELECT r.*, k.broker, k.days[r.n] AS on_date, k.days[r.n - 1] AS before,
           k.days[coalesce(r.next_n - 1, k.last)] AS until
    FROM parted r JOIN known_days k USING (account_id)
    WHERE r.n > k.base AND abs(r.position - r.made) > 1e-8
      -- Where no row is stored at all, that lasts whatever moves meanwhile.
      AND NOT (r.position = 0 AND r.stored = 0 AND abs(r.made - r.moved) > 1e-8)
      AND NOT EXISTS (SELECT FROM blamed b WHERE b.account_id = r.account_id
                      AND (b.instrument_id = r.instrument_id OR b.moved_instrument = r.instrument_id)
                      AND k.days[r.n] IN (b.on_date, b.moved_on))
)
SELECT broker, account_id, symbol || CASE WHEN instrument_id = symbol THEN '' ELSE ' ' || instrument_id END AS subject,
       on_date AS business_date, trim_scale(made) AS expected, trim_scale(position) AS actual, 'ERROR' AS severity,
       'PIPELINE' AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'symbol', symbol, 'instrument_id', instrument_id, 'of_movements', trim_scale(made)::text,
           'stored', trim_scale(position)::text, 'moved_on_the_day', trim_scale(moved)::text,
           'stored_change', trim_scale(stored)::text, 'day_before', before,
           'rows', (SELECT coalesce(jsonb_agg(name ORDER BY place, name), '[]') FROM (
                        SELECT 1 AS place,
                               concat_ws('/', 'positions_daily', p.business_date, p.account_id, p.instrument_id) AS name
                        FROM positions_daily p
                        WHERE p.business_date IN (a.before, a.on_date) AND p.account_id = a.account_id
                          AND p.instrument_id = a.instrument_id
                        UNION ALL
                        (SELECT 2, m.movement_uid FROM position_movements m
                         WHERE m.account_id = a.account_id AND m.instrument_id = a.instrument_id
                           AND m.business_date = a.on_date
                         ORDER BY m.ordered_at DESC, m.movement_uid LIMIT 18)) AS names),
           -- Of every day on which this lasts, as far as there are few and they are stored.
           'set_right', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                             'do', CASE WHEN p.qty = a.position - a.made THEN 'delete' ELSE 'update' END,
                             'table', 'positions_daily',
                             'key', jsonb_build_object('business_date', p.business_date, 'account_id', p.account_id,
                                                       'instrument_id', p.instrument_id),
                             'row', CASE WHEN p.qty <> a.position - a.made
                                    THEN jsonb_build_object('qty', trim_scale(p.qty - a.position + a.made)::text) END))
                             ORDER BY p.business_date)
                         FROM positions_daily p
                         WHERE p.account_id = a.account_id AND p.instrument_id = a.instrument_id
                           AND p.business_date BETWEEN a.on_date AND a.until AND a.position <> 0
                         HAVING count(*) BETWEEN 1 AND 40))) AS evidence
FROM apart a
UNION ALL
SELECT broker, account_id, uid, on_date, trim_scale(coalesce(told, 0)), trim_scale(coalesce(ours, 0)), 'ERROR',
       'PIPELINE',
       jsonb_strip_nulls(jsonb_build_object(
           'symbol', symbol, 'instrument_id', instrument_id, 'source', coalesce(name, 'none'),
           'told', coalesce(trim_scale(told)::text, 'no such row'),
           'ours', coalesce(trim_scale(ours)::text, 'no movement'),
           'moved_on', CASE WHEN moved_on <> on_date THEN moved_on END,
           'moved_instrument_id', CASE WHEN moved_instrument <> instrument_id THEN moved_instrument END,
           'rows', jsonb_build_array(uid)))
FROM blamed
ORDER BY 1, 2, 3, 4
