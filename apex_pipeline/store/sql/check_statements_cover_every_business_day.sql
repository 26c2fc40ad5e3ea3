-- A02. Every business day between the first and the last day that Interactive Brokers was asked for or told stands in a
-- statement of the account. Two things leave one out: an answer that tells fewer days than were asked for (the account
-- is in it, the days are not), and days that nobody asked for between others. No tolerance: a day is told or it is not.
-- A run of missing days is one finding on its first business day, however many runs look at it. What a later statement
-- tells is missing no more. Business days are the sessions of New York, and weekdays where the calendar is not known.
-- Not missing: weekends and holidays, days before an account was opened and funded or after it was closed (where a
-- statement tells so; where none tells when it was opened, days before the first told one are a warning), and days
-- after the newest told one that nobody asked for, which are the matter of freshness. The newest day asked for may not
-- be published yet: until the business day after it is over that is a warning.
WITH told AS MATERIALIZED (
    SELECT account_id, range_agg(daterange(from_date, to_date, '[]')) AS days
    FROM load_coverage WHERE broker = 'IB' AND data_type = 'ib_flex' GROUP BY 1
), asked AS MATERIALIZED (
    -- Only the web service is asked for days; a file tells the days that it names.
    SELECT l.load_id, l.from_date, l.to_date, l.notes, (l.finished_at AT TIME ZONE 'America/New_York')::date AS asked_on
    FROM loads l
    WHERE l.broker = 'IB' AND l.data_type = 'ib_flex' AND l.status = 'COMPLETE'
      AND l.load_id IN (SELECT load_id FROM raw_observations
                        WHERE interface = 'flex' AND request ->> 'service' = 'GetStatement')
), answers AS MATERIALIZED (
    SELECT DISTINCT c.account_id, a.load_id, a.from_date, a.to_date, a.asked_on
    FROM asked a JOIN load_coverage c USING (load_id) WHERE c.data_type = 'ib_flex'
), answered AS (
    SELECT account_id, range_agg(daterange(from_date, to_date, '[]')) AS days FROM answers GROUP BY 1
), wanted AS (
    SELECT range_agg(daterange(from_date, to_date, '[]')) AS days FROM asked
), spans AS (
    SELECT t.account_id, t.days, coalesce(w.days, '{}') AS wanted,
           datemultirange(daterange(least(lower(t.days), lower(a.days)), greatest(upper(t.days), upper(a.days))))
               - t.days AS missing
    FROM told t LEFT JOIN answered a USING (account_id) CROSS JOIN wanted w
), holes AS (
    SELECT account_id, days, true AS is_asked, unnest(missing * wanted) AS hole FROM spans
    UNION ALL
    SELECT account_id, days, false, unnest(missing - wanted) FROM spans
), lives AS (
    -- Compared as text: what a query writes otherwise than as a plain date says nothing.
    SELECT account_id,
           max(greatest(substring(replace(payload ->> 'dateOpened', '-', '') FROM '^[0-9]{8}'),
                        substring(replace(payload ->> 'dateFunded', '-', '') FROM '^[0-9]{8}'))) AS opened,
           max(substring(replace(payload ->> 'dateClosed', '-', '') FROM '^[0-9]{8}')) AS closed
    FROM sections_raw_ib
    WHERE account_id IN (SELECT account_id FROM holes)
      AND record_key >= 'AccountInformation/' AND record_key < 'AccountInformation0'
    GROUP BY 1
), missing AS (
    SELECT h.account_id, h.is_asked, min(day)::date AS first_day, max(day)::date AS last_day, count(*) AS days,
           min(day)::date >= upper(h.days) AS is_newest, max(day)::date < lower(h.days) AND l.opened IS NULL AS may_be_older
    FROM holes h
    CROSS JOIN LATERAL generate_series(lower(h.hole), upper(h.hole) - 1, interval '1 day') AS day
    LEFT JOIN market_days m ON m.calendar = 'XNYS' AND m.on_date = day::date
    LEFT JOIN lives l USING (account_id)
    WHERE extract(isodow FROM day) < 6 AND m.is_session IS NOT false
      AND to_char(day, 'YYYYMMDD') >= coalesce(l.opened, '') AND (l.closed IS NULL OR to_char(day, 'YYYYMMDD') <= l.closed)
    GROUP BY h.account_id, h.is_asked, h.hole, h.days, l.opened
), judged AS (
    SELECT m.*, m.is_newest AND m.is_asked AND (
               SELECT count(*) < 2
               FROM generate_series(m.first_day + 1, (SELECT max(a.asked_on) FROM answers a
                                                      WHERE a.account_id = m.account_id AND a.to_date >= m.first_day),
                                    interval '1 day') AS day
               LEFT JOIN market_days known ON known.calendar = 'XNYS' AND known.on_date = day::date
               WHERE extract(isodow FROM day) < 6 AND known.is_session IS NOT false) AS is_young
    FROM missing m
    WHERE m.first_day BETWEEN %(from_date)s AND %(to_date)s
)
SELECT 'IB' AS broker, j.account_id,
       j.account_id || ' ' || j.first_day || CASE WHEN j.last_day > j.first_day THEN '..' || j.last_day ELSE '' END AS subject,
       j.first_day AS business_date, j.days::numeric AS expected, 0::numeric AS actual,
       CASE WHEN j.is_young OR j.may_be_older THEN 'WARN' ELSE 'ERROR' END AS severity,
       CASE WHEN j.is_young THEN 'TIMING' WHEN j.is_asked THEN 'MISSING_A' ELSE 'PIPELINE' END AS cause,
       jsonb_build_object(
           'missing', jsonb_build_object('from', j.first_day, 'to', j.last_day, 'business_days', j.days),
           'told', (SELECT jsonb_agg(lower(part) || '..' || upper(part) - 1) FROM unnest(t.days) AS part
                    WHERE part && daterange(j.first_day - 5, j.last_day + 6)),
           'asked', (SELECT coalesce(jsonb_agg(near), '[]')
                     FROM (SELECT a.load_id, a.from_date, a.to_date, a.asked_on, a.notes,
                                  EXISTS (SELECT FROM answers s
                                          WHERE s.load_id = a.load_id AND s.account_id = j.account_id) AS account_is_in_it
                           FROM asked a WHERE a.from_date <= j.last_day AND a.to_date >= j.first_day
                           ORDER BY a.load_id DESC LIMIT 5) AS near),
           'rows', '[]'::jsonb) AS evidence
FROM judged j JOIN told t USING (account_id)
ORDER BY 2, 4
