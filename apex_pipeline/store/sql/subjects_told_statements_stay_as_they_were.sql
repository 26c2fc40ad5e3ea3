-- Trades and bookings of days that a final statement told and another load told again.
WITH twice AS MATERIALIZED (
    SELECT c.account_id, day::date AS business_date
    FROM load_coverage c
    CROSS JOIN LATERAL generate_series(greatest(c.from_date, %(from_date)s::date), least(c.to_date, %(to_date)s::date),
                                       interval '1 day') AS day
    WHERE c.broker = 'IB' AND c.data_type = 'ib_flex'
      AND c.covered_at > (day::date + 1)::timestamp AT TIME ZONE 'America/New_York' + interval '6 hours'
    GROUP BY 1, 2 HAVING count(DISTINCT c.load_id) > 1
), told AS (
    SELECT account_id, business_date FROM trades_raw_ib WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
    UNION ALL
    SELECT account_id, business_date FROM cash_raw_ib WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
)
SELECT 'IB' AS broker, account_id, business_date, count(*) AS subjects
FROM told JOIN twice USING (account_id, business_date)
GROUP BY 1, 2, 3
