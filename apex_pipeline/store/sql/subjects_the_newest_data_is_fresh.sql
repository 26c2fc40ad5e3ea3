-- Sources of accounts that a run reaches the newest day of; they are looked at on its last day.
WITH covered AS (
    SELECT c.broker, c.account_id, max(least(c.to_date, l.to_date)) AS newest_day,
           bool_or(c.broker = 'FUTU' OR c.load_id IN (
               SELECT load_id FROM raw_observations
               WHERE interface = 'flex' AND request ->> 'service' = 'GetStatement')) AS is_asked
    FROM load_coverage c JOIN loads l USING (load_id)
    WHERE c.data_type IN ('futu_orders', 'futu_deals', 'ib_flex')
    GROUP BY 1, 2
)
SELECT broker, account_id, %(to_date)s::date AS business_date, 1 AS subjects
FROM covered WHERE is_asked AND newest_day <= %(to_date)s AND %(from_date)s::date <= %(to_date)s::date
