-- Accounts that traded on a market from a day on that its changed calendar may have moved: valued again.
INSERT INTO dirty_days (stage, broker, account_id, business_date)
SELECT 'value', t.broker, t.account_id, min(t.trade_date)
FROM trades_norm t
JOIN unnest(%(markets)s::text[], %(days)s::date[]) AS changed (market, from_day)
  ON changed.market = t.market AND t.trade_date >= changed.from_day
WHERE t.trade_date >= (SELECT min(day) FROM unnest(%(days)s::date[]) AS day)
GROUP BY 1, 2, 3
ON CONFLICT DO NOTHING
