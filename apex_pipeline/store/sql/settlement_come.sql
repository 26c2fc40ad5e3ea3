-- Earlier trades that have settled by the days which became known since; nothing else of them can have changed.
WITH scope AS (
    SELECT * FROM unnest(%(accounts)s::text[], %(days)s::date[]) AS s (account_id, from_day)
), known AS (
    SELECT account_id, from_day, max(day) AS last_day FROM (
        SELECT s.account_id, s.from_day, c.to_date AS day FROM scope s JOIN load_coverage c USING (account_id)
        UNION ALL
        SELECT s.account_id, s.from_day, t.trade_date FROM scope s JOIN settlement_tracking t
            ON t.account_id = s.account_id AND t.trade_date >= s.from_day
    ) AS told GROUP BY 1, 2
)
UPDATE settlement_tracking t SET status = 'SETTLED' FROM known
WHERE t.account_id = known.account_id AND t.status = 'PENDING' AND t.trade_date < known.from_day
  AND t.settlement_date <= known.last_day
