-- Accounts that traded on a market from a day on that its changed calendar may have moved: valued again, and all their days
-- from there on compared again, so that breaks of settlement dates close.
WITH moved AS (
    SELECT t.broker, t.account_id, min(t.trade_date) AS first_day, max(t.trade_date) AS last_day
    FROM trades_norm t
    JOIN unnest(%(markets)s::text[], %(days)s::date[]) AS changed (market, from_day)
      ON changed.market = t.market AND t.trade_date >= changed.from_day
    WHERE t.trade_date >= (SELECT min(day) FROM unnest(%(days)s::date[]) AS day)
    GROUP BY 1, 2
)
INSERT INTO dirty_days (stage, broker, account_id, business_date)
SELECT due.stage, moved.broker, moved.account_id, due.business_date
FROM moved
CROSS JOIN LATERAL (
    VALUES ('value', first_day), ('reconcile', first_day), ('reconcile', last_day)
) AS due (stage, business_date)
ON CONFLICT DO NOTHING
