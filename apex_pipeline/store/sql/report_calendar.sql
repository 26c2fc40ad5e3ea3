-- Which days of its history each account was loaded for, one row per kind of data and market. `states` has one letter a
-- day from first_day on: C covered, G covered but with less than the broker itself says there is, M missing, and a point
-- for days on which nobody trades. A kind begins with its first day that a person asked for and ends with the newest day
-- of its broker. Fees follow their orders and have no days of their own; lists of today have no history.
WITH spans AS (
    SELECT c.broker, c.account_id, c.data_type, c.market, c.from_date, c.to_date, r.from_date AS wanted_from,
           r.to_date AS wanted_to
    FROM load_coverage c JOIN loads l USING (load_id) JOIN load_runs r USING (run_id)
    WHERE c.data_type IN ('futu_orders', 'futu_deals', 'futu_cash', 'ib_flex')
), series AS (
    SELECT broker, account_id, data_type, market, min(greatest(from_date, wanted_from)) AS first_day
    FROM spans WHERE from_date <= wanted_to AND to_date >= wanted_from GROUP BY 1, 2, 3, 4
), reached AS (
    SELECT broker, data_type, max(least(to_date, wanted_to)) AS last_day
    FROM spans WHERE from_date <= wanted_to AND to_date >= wanted_from GROUP BY 1, 2
), covered AS (
    SELECT s.broker, s.account_id, s.data_type, s.market, s.first_day, r.last_day,
           range_agg(daterange(c.from_date, c.to_date, '[]')) AS days
    FROM series s JOIN reached r USING (broker, data_type)
    JOIN load_coverage c ON c.broker = s.broker AND c.account_id = s.account_id AND c.data_type = s.data_type
                        AND (c.market = s.market OR 'ALL' IN (c.market, s.market))
    GROUP BY 1, 2, 3, 4, 5, 6
), sessions AS (
    SELECT on_date, bool_or(is_session) AS is_session FROM market_days GROUP BY 1
)
SELECT c.broker, c.account_id, c.data_type, c.market, c.first_day, c.last_day,
       string_agg(CASE WHEN extract(isodow FROM day) > 5 OR s.is_session IS false THEN '.'
                       WHEN NOT c.days @> day::date THEN 'M' WHEN g.business_date IS NOT NULL THEN 'G' ELSE 'C' END,
                  '' ORDER BY day) AS states
FROM covered c CROSS JOIN LATERAL generate_series(c.first_day, c.last_day, interval '1 day') AS day
LEFT JOIN sessions s ON s.on_date = day::date
LEFT JOIN load_gaps g ON g.broker = c.broker AND g.account_id = c.account_id AND g.data_type = c.data_type
                     AND g.business_date = day::date
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4
