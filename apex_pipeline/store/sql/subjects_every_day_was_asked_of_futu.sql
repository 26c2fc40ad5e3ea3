-- What should have been asked of each day: orders, deals and (on weekdays) cash of every account, each where it was
-- ever loaded; see the check for the days.
WITH spans AS (
    SELECT c.account_id, c.data_type, c.market, c.from_date, c.to_date, r.from_date AS wanted_from, r.to_date AS wanted_to
    FROM load_coverage c JOIN loads l USING (load_id) JOIN load_runs r USING (run_id)
    WHERE c.broker = 'FUTU' AND c.data_type IN ('futu_orders', 'futu_deals', 'futu_cash')
    UNION ALL
    SELECT l.account_id, l.data_type, l.market, l.from_date, l.to_date, r.from_date, r.to_date
    FROM loads l JOIN load_runs r USING (run_id)
    WHERE l.broker = 'FUTU' AND l.data_type IN ('futu_orders', 'futu_deals', 'futu_cash') AND l.status = 'COMPLETE'
      AND l.account_id IS NOT NULL AND (l.records > 0 OR l.notes = '{}')
), series AS (
    SELECT account_id, data_type, market, data_type = 'futu_cash' AS is_cash,
           min(greatest(from_date, wanted_from)) AS first_day, max(least(to_date, wanted_to)) AS last_day
    FROM spans WHERE from_date <= wanted_to AND to_date >= wanted_from
    GROUP BY 1, 2, 3
), expected AS (
    SELECT account_id, is_cash, first_day, max(last_day) OVER (PARTITION BY account_id, market, is_cash) AS last_day
    FROM series
)
SELECT 'FUTU' AS broker, e.account_id, day::date AS business_date, count(*) AS subjects
FROM expected e
CROSS JOIN LATERAL generate_series(greatest(e.first_day, %(from_date)s::date), least(e.last_day, %(to_date)s::date),
                                   interval '1 day') AS day
WHERE NOT e.is_cash OR extract(isodow FROM day) < 6
GROUP BY 1, 2, 3
