-- When the newest day of a source is late: hours are counted on the days on which a load of it is due, and of accounts that
-- the broker tells of.

-- How long ago each source was told, in hours of the days on which it is told of a session, by the clock of New York, where
-- every session of a date ends on that date. Futu tells a session on its own date: days count on which no exchange in use
-- rests, so that nobody is late for a session that did not take place. Interactive Brokers tells it in a statement that
-- is due at 06:30 of the next date: Tuesday to Saturday, and not after a holiday of New York; told earlier, it is not older.
-- Sources: what Futu tells of orders and deals, the older of both; statements where the web service was ever asked for the
-- account (files come when a person brings them). An account two weeks behind the newest one of its broker is not one that
-- a load can bring: it was closed.
CREATE OR REPLACE VIEW source_ages AS
    WITH covered AS MATERIALIZED (
        SELECT c.broker, c.account_id, c.data_type, least(c.to_date, l.to_date) AS last_day, l.finished_at, l.load_id
        FROM load_coverage c JOIN loads l USING (load_id)
        WHERE c.data_type IN ('futu_orders', 'futu_deals', 'ib_flex')
    ), asked AS (
        SELECT DISTINCT c.account_id FROM covered c
        WHERE c.broker = 'IB' AND c.load_id IN (SELECT o.load_id FROM raw_observations o
                                                WHERE o.interface = 'flex' AND o.request ->> 'service' = 'GetStatement')
    ), reached AS (
        SELECT c.broker, c.account_id, c.data_type, n.newest_day, max(c.finished_at) AS told_at
        FROM covered c
        JOIN (SELECT broker, account_id, data_type, max(last_day) AS newest_day FROM covered GROUP BY 1, 2, 3) AS n
          USING (broker, account_id, data_type)
        WHERE c.last_day = n.newest_day AND (c.broker = 'FUTU' OR c.account_id IN (SELECT account_id FROM asked))
        GROUP BY 1, 2, 3, 4
    ), accounts AS (
        SELECT broker, account_id, min(told_at) AS told_at, max(newest_day) AS newest_day,
               array_agg(data_type) AS data_types, max(max(newest_day)) OVER (PARTITION BY broker) AS newest_of_broker
        FROM reached GROUP BY 1, 2
    ), sources AS (
        SELECT broker, account_id, told_at, newest_day, data_types,
               CASE broker WHEN 'FUTU' THEN 'orders and deals' ELSE 'statements' END AS source,
               CASE broker WHEN 'FUTU' THEN 0 ELSE 1 END AS days_after,
               CASE broker WHEN 'FUTU' THEN told_at
                    ELSE greatest(told_at, (newest_day + 1 + time '06:30') AT TIME ZONE 'America/New_York') END AS since
        FROM accounts WHERE newest_of_broker - newest_day <= 14
    )
    SELECT s.broker, s.account_id, s.source, s.newest_day, s.told_at, s.data_types,
           (SELECT sum(extract(epoch FROM least(now(), hours.until) - greatest(s.since, hours.since))) / 3600
            FROM generate_series((s.since AT TIME ZONE 'America/New_York')::date,
                                 (now() AT TIME ZONE 'America/New_York')::date, interval '1 day') AS day
            CROSS JOIN LATERAL (
                SELECT day::date::timestamp AT TIME ZONE 'America/New_York' AS since,
                       (day::date + 1)::timestamp AT TIME ZONE 'America/New_York' AS until,
                       day::date - s.days_after AS session
            ) AS hours
            WHERE extract(isodow FROM hours.session) < 6
              AND (SELECT bool_and(m.is_session) IS NOT false FROM market_days m
                   WHERE m.on_date = hours.session AND (s.broker = 'FUTU' OR m.calendar = 'XNYS'))) AS hours
    FROM sources s;
COMMENT ON VIEW source_ages IS 'The newest day of every source of an account that is told of, when it was told, and how many hours of due days ago.';
