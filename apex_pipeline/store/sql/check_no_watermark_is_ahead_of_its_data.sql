-- A12. What the bookkeeping of loads claims was loaded. A finding is about that bookkeeping, not about the market:
-- cause PIPELINE. No tolerance but a second for the fractions of Futu's epochs.
-- Watermarks (one finding each, on the newest day that a load of it was asked for); `actual` is how many hours it is
-- ahead:
-- * the newest record that it speaks of is stored, now or as an earlier version. A moment that is written in another
--   form, and that of an earlier version, counts as the latest instant of its day anywhere. Fees and cash have no such
--   moment;
-- * a load moved it: not later than an hour after the newest one ended, which is longer than storing takes;
-- * it counts no more records than some load covered or brought (what was covered and is no more is the matter of A02
--   and A03).
-- Covered days (one finding per row, on the last day that its load was asked for); in this order, the first that holds:
-- * their load is complete, and what was received is kept;
-- * it was asked for them (a Friday's cash also tells the weekend, on which nothing is cleared; files and states of
--   today are asked for no days);
-- * they had begun somewhere on earth when it ended;
-- * all that a load covers holds no more records than it brought; fees, whose days the last of several loads covers, no
--   more than the loads of its run.
WITH coverage AS MATERIALIZED (
    SELECT c.broker, c.account_id, c.data_type, c.market, c.load_id, c.from_date, c.to_date, c.records, l.status, l.run_id,
           l.from_date AS asked_from, l.to_date AS asked_to, l.finished_at, l.records AS brought,
           (l.finished_at AT TIME ZONE 'Pacific/Kiritimati')::date AS newest_begun,
           CASE WHEN c.data_type = 'futu_cash' AND extract(isodow FROM l.to_date) > 4
                THEN 7 - extract(isodow FROM l.to_date)::int ELSE 0 END AS weekend
    FROM load_coverage c LEFT JOIN loads l USING (load_id)
), kept AS MATERIALIZED (
    SELECT load_id, bool_or(interface = 'flex' AND request ->> 'service' = 'file') AS is_file
    FROM raw_observations GROUP BY 1
), fees AS (
    SELECT run_id, account_id, sum(records) AS brought FROM loads WHERE data_type = 'futu_fees' GROUP BY 1, 2
), claimed AS (
    SELECT c.*, k.load_id IS NOT NULL AS is_kept,
           -- a file is asked for nothing, and a state is of the day on which it comes, which may be the next one
           NOT k.is_file AND c.data_type NOT IN ('futu_positions', 'futu_funds', 'ib_tws') AS has_asked_days,
           CASE c.data_type WHEN 'futu_fees' THEN f.brought ELSE c.brought END AS may_claim,
           sum(c.records) OVER (PARTITION BY c.load_id) AS claims,
           row_number() OVER (PARTITION BY c.load_id ORDER BY c.records DESC, c.account_id, c.from_date) AS place
    FROM coverage c
    LEFT JOIN kept k ON k.load_id = c.load_id
    LEFT JOIN fees f ON f.run_id = c.run_id AND f.account_id = c.account_id
), unfounded AS (
    SELECT *, CASE WHEN status IS DISTINCT FROM 'COMPLETE' THEN 'the load is not complete'
                   WHEN NOT is_kept THEN 'nothing of what the load received is kept'
                   WHEN has_asked_days AND (from_date < asked_from OR to_date > asked_to + weekend)
                        THEN 'the load was not asked for these days'
                   WHEN to_date - weekend > newest_begun THEN 'these days had not begun when the load ended'
                   WHEN place = 1 AND claims > may_claim THEN 'the load brought fewer records' END AS what
    FROM claimed
), stored AS NOT MATERIALIZED (
    SELECT 'futu_orders' AS data_type, account_id, business_date,
           CASE WHEN payload ->> 'createTimestamp' ~ '^[0-9]{9,10}([.][0-9]+)?$'
                THEN to_timestamp((payload ->> 'createTimestamp')::float8)
                ELSE (business_date + 1)::timestamp AT TIME ZONE 'UTC' + interval '12 hours' END AS at
    FROM orders_raw_futu
    UNION ALL
    SELECT 'futu_deals', account_id, business_date,
           CASE WHEN payload ->> 'createTimestamp' ~ '^[0-9]{9,10}([.][0-9]+)?$'
                THEN to_timestamp((payload ->> 'createTimestamp')::float8)
                ELSE (business_date + 1)::timestamp AT TIME ZONE 'UTC' + interval '12 hours' END
    FROM trades_raw_futu
    -- a state that comes again as it was is written later and stored no later
    UNION ALL SELECT 'futu_positions', account_id, business_date, greatest(generated_at, fetched_at) FROM positions_raw_futu
    UNION ALL SELECT 'futu_funds', account_id, business_date, greatest(generated_at, fetched_at) FROM balances_raw_futu
    UNION ALL
    SELECT 'ib_flex', account_id, business_date,
           CASE WHEN payload ->> 'dateTime' ~ '^([0-9]{8}|[0-9]{4}(-[0-9]{2}){2})([^0-9A-Za-z]+|T)[0-9]{2}(:?[0-9]{2}){2}$'
                -- an interval takes every number: an impossible date is no error here
                THEN (timestamp '2000-01-01' + make_interval(left(digits, 4)::int - 2000, substr(digits, 5, 2)::int - 1, 0,
                                                             substr(digits, 7, 2)::int - 1, substr(digits, 9, 2)::int,
                                                             substr(digits, 11, 2)::int, substr(digits, 13, 2)::int))
                     AT TIME ZONE 'America/New_York'
                ELSE (business_date + 1)::timestamp AT TIME ZONE 'UTC' + interval '12 hours' END
    FROM trades_raw_ib
    CROSS JOIN LATERAL (SELECT regexp_replace(payload ->> 'dateTime', '[^0-9]', '', 'g') AS digits) AS written
    UNION ALL
    SELECT 'ib_tws', account_id, business_date,
           CASE WHEN payload ->> 'executedAt' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T'
                THEN (payload ->> 'executedAt')::timestamptz END
    FROM provisional_raw_ib
    UNION ALL
    SELECT CASE table_name WHEN 'orders_raw_futu' THEN 'futu_orders' WHEN 'trades_raw_futu' THEN 'futu_deals'
                           WHEN 'trades_raw_ib' THEN 'ib_flex' WHEN 'positions_raw_futu' THEN 'futu_positions'
                           WHEN 'balances_raw_futu' THEN 'futu_funds' ELSE 'ib_tws' END,
           account_id, business_date, (business_date + 1)::timestamp AT TIME ZONE 'UTC' + interval '12 hours'
    FROM raw_versions
    WHERE table_name IN ('orders_raw_futu', 'trades_raw_futu', 'positions_raw_futu', 'balances_raw_futu', 'trades_raw_ib',
                         'provisional_raw_ib')
), reached AS (
    SELECT broker, account_id, data_type, market, max(least(to_date, asked_to)) AS business_date, max(records) AS most,
           max(finished_at) AS finished_at, max(load_id) AS load_id
    FROM coverage GROUP BY 1, 2, 3, 4
), marks AS (
    SELECT s.*, greatest(r.most, (SELECT max(l.records) FROM loads l
                                  WHERE l.broker = s.broker AND l.data_type = s.data_type AND l.status = 'COMPLETE'
                                    AND (l.account_id = s.account_id OR l.account_id IS NULL))) AS most,
           r.finished_at, r.load_id,
           coalesce(r.business_date, (SELECT max(o.business_date) FROM reached o
                                      WHERE o.broker = s.broker AND o.account_id = s.account_id),
                    (s.last_sync_at AT TIME ZONE 'UTC')::date) AS business_date
    FROM sync_state s LEFT JOIN reached r USING (broker, account_id, data_type, market)
), judged AS MATERIALIZED (
    SELECT m.*, CASE
               WHEN m.finished_at IS NULL THEN 'no load covers anything of it'
               WHEN m.last_sync_at > m.finished_at + interval '1 hour' THEN 'no load ended when it was moved'
               -- a state has the moment at which it came, and one that came as it was before is not stored again
               WHEN m.last_record_at IS NOT NULL AND NOT (m.data_type IN ('futu_positions', 'futu_funds')
                    AND m.last_record_at <= m.finished_at + interval '1 second') AND NOT EXISTS (
                   -- on its own days first; that it stands on another one is not the watermark's fault
                   SELECT FROM (VALUES ((m.last_record_at AT TIME ZONE 'UTC')::date - 1), ('-infinity')) AS day (since)
                   CROSS JOIN LATERAL (
                       SELECT * FROM stored r
                       WHERE r.data_type = m.data_type AND r.business_date >= day.since
                         AND r.at >= m.last_record_at - interval '1 second'
                   ) AS r
                   WHERE (r.account_id = m.account_id OR (m.broker = 'IB' AND (
                              -- a statement also tells of segments (U1234567F), that of a master account of other accounts
                              (left(r.account_id, -1) = m.account_id AND r.account_id ~ '[A-Za-z]$')
                              OR NOT EXISTS (SELECT FROM trades_raw_ib own WHERE own.account_id = m.account_id)))))
                   THEN 'no such record is stored'
               WHEN m.records > m.most THEN 'no load covered so many records' END AS what
    FROM marks m
    WHERE m.business_date BETWEEN %(from_date)s AND %(to_date)s
), ahead AS (
    SELECT j.*, CASE j.what WHEN 'no such record is stored'
                            THEN (SELECT max(r.at) FROM stored r
                                  WHERE r.data_type = j.data_type AND r.account_id = j.account_id
                                    AND r.business_date >= (SELECT max(n.business_date) - 1 FROM stored n
                                                            WHERE n.data_type = j.data_type AND n.account_id = j.account_id))
                            WHEN 'no load ended when it was moved' THEN j.finished_at END AS newest
    FROM judged j WHERE j.what IS NOT NULL
)
SELECT a.broker, a.account_id,
       a.account_id || ' ' || a.data_type || CASE a.market WHEN 'ALL' THEN '' ELSE ' ' || a.market END AS subject,
       a.business_date, CASE a.what WHEN 'no load covered so many records' THEN a.most ELSE 0 END::numeric AS expected,
       CASE a.what WHEN 'no load covered so many records' THEN a.records
                   WHEN 'no such record is stored' THEN round(extract(epoch FROM a.last_record_at - a.newest) / 3600, 4)
                   WHEN 'no load ended when it was moved' THEN round(extract(epoch FROM a.last_sync_at - a.newest) / 3600, 4)
                   END::numeric AS actual,
       'ERROR' AS severity, 'PIPELINE' AS cause,
       jsonb_build_object(
           'what', a.what, 'data_type', a.data_type, 'market', a.market, 'last_record_at', a.last_record_at,
           'last_sync_at', a.last_sync_at, 'records', a.records, 'newest_known', a.newest, 'newest_load', a.load_id,
           'rows', '[]'::jsonb) AS evidence
FROM ahead a
UNION ALL
SELECT u.broker, u.account_id,
       u.account_id || ' ' || u.data_type || ' ' || u.from_date || '..' || u.to_date || ' of load ' || u.load_id,
       coalesce(least(u.to_date, u.asked_to), u.to_date),
       CASE u.what WHEN 'the load brought fewer records' THEN u.may_claim
                   WHEN 'the load is not complete' THEN 1 WHEN 'nothing of what the load received is kept' THEN 1 ELSE 0 END,
       CASE u.what WHEN 'the load brought fewer records' THEN u.claims
                   WHEN 'the load was not asked for these days'
                        THEN greatest(0, u.asked_from - u.from_date) + greatest(0, u.to_date - u.asked_to - u.weekend)
                   WHEN 'these days had not begun when the load ended' THEN u.to_date - u.weekend - u.newest_begun ELSE 0 END,
       'ERROR', 'PIPELINE',
       jsonb_build_object(
           'what', u.what, 'data_type', u.data_type, 'market', u.market, 'covered', u.from_date || '..' || u.to_date,
           'asked', u.asked_from || '..' || u.asked_to, 'load_id', u.load_id, 'status', u.status,
           'finished_at', u.finished_at, 'records', u.records, 'brought', u.may_claim, 'rows', '[]'::jsonb)
FROM unfounded u
WHERE u.what IS NOT NULL AND coalesce(least(u.to_date, u.asked_to), u.to_date) BETWEEN %(from_date)s AND %(to_date)s
ORDER BY 2, 4, 3
