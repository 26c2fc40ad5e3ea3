SELECT * FROM round_trips WHERE symbol = coalesce(%(symbol)s, symbol)
ORDER BY coalesce(exit_at, entry_at) DESC NULLS LAST, coalesce(exit_date, entry_date) DESC NULLS LAST, trade_id
LIMIT %(most)s
