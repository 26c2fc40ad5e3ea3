SELECT d.account_id, d.symbol, d.asset_class, d.qty, d.avg_cost, d.mark_price, d.market_value, d.unrealized_pnl, d.currency
FROM unnest(%(accounts)s::text[], %(dates)s::date[]) AS asked (account_id, on_date)
JOIN positions_daily d ON d.business_date = asked.on_date AND d.account_id = asked.account_id
ORDER BY d.account_id, d.symbol, d.instrument_id
