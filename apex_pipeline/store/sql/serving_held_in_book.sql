SELECT account_id, symbol, quantity AS qty, entry_price AS avg_cost, unrealized_pnl, currency
FROM positions WHERE status = 'OPEN' AND account_id = ANY (%(accounts)s::text[])
ORDER BY account_id, symbol, position_id
