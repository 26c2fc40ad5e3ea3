-- Watermarks on the newest day that a load of theirs was asked for, and covered ranges on their last one.
WITH coverage AS MATERIALIZED (
    SELECT c.broker, c.account_id, c.data_type, c.market, coalesce(least(c.to_date, l.to_date), c.to_date) AS business_date
    FROM load_coverage c LEFT JOIN loads l USING (load_id)
), reached AS (
    SELECT broker, account_id, data_type, market, max(business_date) AS business_date FROM coverage GROUP BY 1, 2, 3, 4
), told AS (
    SELECT broker, account_id, business_date FROM coverage
    UNION ALL
    SELECT s.broker, s.account_id,
           coalesce(r.business_date, (SELECT max(o.business_date) FROM reached o
                                      WHERE o.broker = s.broker AND o.account_id = s.account_id),
                    (s.last_sync_at AT TIME ZONE 'UTC')::date)
    FROM sync_state s LEFT JOIN reached r USING (broker, account_id, data_type, market)
)
SELECT broker, account_id, business_date, count(*) AS subjects
FROM told WHERE business_date BETWEEN %(from_date)s AND %(to_date)s GROUP BY 1, 2, 3
