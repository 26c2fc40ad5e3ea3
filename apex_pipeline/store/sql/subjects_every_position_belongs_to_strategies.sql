-- Positions are compared as they are now, so they count on the day that was last told.
SELECT day AS business_date, (SELECT count(DISTINCT (p.broker, p.account_id, p.symbol)) FROM strategy_positions p) AS subjects
FROM (SELECT max(trade_date) AS day FROM trades_norm) AS newest
WHERE day BETWEEN %(from_date)s AND %(to_date)s AND EXISTS (SELECT FROM strategy_positions)
