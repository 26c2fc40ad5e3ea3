-- Positions are compared as they are now, so they count on the day that was last told.
SELECT p.broker, p.account_id, newest.day AS business_date, count(DISTINCT p.symbol) AS subjects
FROM (SELECT max(trade_date) AS day FROM trades_norm) AS newest CROSS JOIN strategy_positions p
WHERE newest.day BETWEEN %(from_date)s AND %(to_date)s
GROUP BY 1, 2, 3
