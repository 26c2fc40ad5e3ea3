-- Open positions of the book, and closed ones whose outcome is not known yet.
SELECT p.* FROM positions p
WHERE p.account_id = %(account_id)s AND (p.status = 'OPEN' OR p.realized_pnl IS NULL)
ORDER BY p.position_id
