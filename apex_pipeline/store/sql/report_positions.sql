-- Open positions on the last day that each account is known of.
SELECT broker, account_id, symbol, qty, avg_cost, cost_basis, mark_price, market_value, unrealized_pnl, currency, business_date
FROM positions_daily p
WHERE business_date = (SELECT max(l.business_date) FROM positions_daily l WHERE l.account_id = p.account_id)
ORDER BY broker, account_id, symbol
