SELECT * FROM positions
WHERE symbol = %(symbol)s AND account_id = coalesce(%(account_id)s, account_id)
ORDER BY status = 'OPEN' DESC, coalesce(closed_at, opened_at, synced_at) DESC, position_id LIMIT 1
