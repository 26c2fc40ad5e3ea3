-- Every business day between the first and the last one that was asked for or told, whether it was told or not.
WITH told AS (
    SELECT account_id, load_id, from_date, to_date FROM load_coverage WHERE broker = 'IB' AND data_type = 'ib_flex'
), reached AS (
    SELECT account_id, from_date, to_date FROM told
    UNION ALL
    SELECT t.account_id, l.from_date, l.to_date
    FROM (SELECT DISTINCT account_id, load_id FROM told) AS t JOIN loads l USING (load_id)
    WHERE l.load_id IN (SELECT load_id FROM raw_observations
                        WHERE interface = 'flex' AND request ->> 'service' = 'GetStatement')
), spans AS (
    SELECT account_id, min(from_date) AS first_day, max(to_date) AS last_day FROM reached GROUP BY 1
)
SELECT 'IB' AS broker, s.account_id, day::date AS business_date, 1 AS subjects
FROM spans s
CROSS JOIN LATERAL generate_series(greatest(s.first_day, %(from_date)s::date), least(s.last_day, %(to_date)s::date),
                                   interval '1 day') AS day
LEFT JOIN market_days m ON m.calendar = 'XNYS' AND m.on_date = day::date
WHERE extract(isodow FROM day) < 6 AND m.is_session IS NOT false
