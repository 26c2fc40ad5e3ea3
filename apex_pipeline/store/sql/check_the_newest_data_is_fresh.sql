-- A08. The newest day of every account was told at most 26 hours ago, counted on days on which a load is due: a day, and two
-- hours for a load that takes its time. Up to three business days it is a warning, beyond them an error. One finding per account and
-- source, bound to no day: it closes with the next load. Only runs that reach the newest known day look at it, so that
-- a backfill of older days says nothing. `expected` and `actual` are business days, whole ones, so that a finding
-- changes once a day. Counted is when the newest day was told, not how new its trades are: an account may rest.
-- Sources and days are those of the view `source_ages`; accounts that were left behind are not looked at.
WITH aged AS MATERIALIZED (SELECT * FROM source_ages WHERE newest_day <= %(to_date)s)
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
