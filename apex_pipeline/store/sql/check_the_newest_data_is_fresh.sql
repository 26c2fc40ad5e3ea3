-- A08. The newest day of every account was told at most 26 hours of business days ago: a day, and two hours for a load
-- that takes its time. Up to three business days it is a warning, beyond them an error. One finding per account and
-- source, bound to no day: it closes with the next load. Only runs that reach the newest known day look at it, so that
-- a backfill of older days says nothing. `expected` and `actual` are business days, whole ones, so that a finding
-- changes once a day. Counted is when the newest day was told, not how new its trades are: an account may rest.
-- Business days are weekdays on which an exchange in use has a session (IB: New York's). Sources: what Futu tells of
-- orders and deals, the older of both; Interactive Brokers' statements where the web service was ever asked for the
-- account. Files come when a person brings them.
WITH covered AS MATERIALIZED (
    SELECT c.broker, c.account_id, c.data_type, least(c.to_date, l.to_date) AS last_day, l.finished_at, l.load_id
    FROM load_coverage c JOIN loads l USING (load_id)
    WHERE c.data_type IN ('futu_orders', 'futu_deals', 'ib_flex')
), asked AS (
    SELECT DISTINCT c.account_id FROM covered c
    WHERE c.broker = 'IB' AND c.load_id IN (SELECT load_id FROM raw_observations
                                            WHERE interface = 'flex' AND request ->> 'service' = 'GetStatement')
), reached AS (
    SELECT c.broker, c.account_id, c.data_type, n.newest_day, max(c.finished_at) AS told_at
    FROM covered c
    JOIN (SELECT broker, account_id, data_type, max(last_day) AS newest_day FROM covered GROUP BY 1, 2, 3) AS n
      USING (broker, account_id, data_type)
    WHERE c.last_day = n.newest_day AND (c.broker = 'FUTU' OR c.account_id IN (SELECT account_id FROM asked))
    GROUP BY 1, 2, 3, 4
), sources AS (
    SELECT broker, account_id, CASE broker WHEN 'FUTU' THEN 'orders and deals' ELSE 'statements' END AS source,
           CASE broker WHEN 'FUTU' THEN 'Asia/Hong_Kong' ELSE 'America/New_York' END AS zone, min(told_at) AS told_at,
           max(newest_day) AS newest_day, array_agg(data_type) AS data_types
    FROM reached GROUP BY 1, 2 HAVING max(newest_day) <= %(to_date)s
), aged AS (
    SELECT s.*, (SELECT sum(extract(epoch FROM least(now(), hours.until) - greatest(s.told_at, hours.since))) / 3600
                 FROM generate_series((s.told_at AT TIME ZONE s.zone)::date, (now() AT TIME ZONE s.zone)::date,
                                      interval '1 day') AS day
                 CROSS JOIN LATERAL (
                     SELECT day::date::timestamp AT TIME ZONE s.zone AS since,
                            (day::date + 1)::timestamp AT TIME ZONE s.zone AS until
                 ) AS hours
                 WHERE extract(isodow FROM day) < 6
                   AND (SELECT bool_or(m.is_session) IS NOT false FROM market_days m
                        WHERE m.on_date = day::date AND (s.broker = 'FUTU' OR m.calendar = 'XNYS'))) AS hours
    FROM sources s
)
SELECT a.broker, a.account_id, a.account_id || ' ' || a.source AS subject, NULL::date AS business_date,
       1::numeric AS expected, ceil(a.hours / 24)::numeric AS actual,
       CASE WHEN a.hours > 72 THEN 'ERROR' ELSE 'WARN' END AS severity,
       CASE WHEN a.hours > 72 THEN 'PIPELINE' ELSE 'TIMING' END AS cause,
       jsonb_build_object(
           'source', a.source, 'newest_day', a.newest_day, 'told_at', a.told_at,
           'last_failure', (SELECT jsonb_build_object('at', l.finished_at, 'error', l.error, 'load_id', l.load_id)
                            FROM loads l
                            WHERE l.broker = a.broker AND l.status = 'FAILED' AND l.finished_at > a.told_at
                              AND l.data_type = ANY (a.data_types) AND coalesce(l.account_id, a.account_id) = a.account_id
                            ORDER BY l.finished_at DESC LIMIT 1),
           'rows', '[]'::jsonb) AS evidence
FROM aged a
WHERE a.hours > 26 AND %(from_date)s::date <= %(to_date)s::date
ORDER BY 1, 2
