-- Asked ranges of one account and data type, joined where they touch.
WITH ordered AS (
    SELECT broker, account_id, data_type, market, from_date, to_date,
           max(to_date) OVER (PARTITION BY broker, account_id, data_type, market ORDER BY from_date, to_date
                              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached
    FROM load_coverage
), islands AS (
    SELECT *, count(*) FILTER (WHERE reached IS NULL OR from_date > reached + 1)
              OVER (PARTITION BY broker, account_id, data_type, market ORDER BY from_date, to_date) AS island
    FROM ordered
)
SELECT i.broker, i.account_id, i.data_type, i.market, min(i.from_date) AS from_date, max(i.to_date) AS to_date,
       s.last_sync_at, s.last_record_at
FROM islands i LEFT JOIN sync_state s USING (broker, account_id, data_type, market)
GROUP BY 1, 2, 3, 4, island, 7, 8 ORDER BY 1, 2, 3, 4, 5
