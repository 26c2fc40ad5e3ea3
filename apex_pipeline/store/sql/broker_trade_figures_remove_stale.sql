-- Figures of trades that are gone, or have another uid now.
DELETE FROM broker_trade_figures f USING unnest(%(accounts)s::text[], %(dates)s::date[]) AS day (account_id, on_date)
WHERE f.broker = %(broker)s AND f.account_id = day.account_id AND f.business_date = day.on_date
  AND NOT EXISTS (SELECT FROM trades_norm t WHERE t.trade_uid = f.trade_uid)
