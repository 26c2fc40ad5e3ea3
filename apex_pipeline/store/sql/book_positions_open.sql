SELECT * FROM positions
WHERE status = 'OPEN' AND account_id = coalesce(%(account_id)s, account_id)
ORDER BY account_id, symbol, position_id
