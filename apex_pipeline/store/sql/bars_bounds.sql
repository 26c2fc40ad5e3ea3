SELECT min(opened_at) AS first_at, max(opened_at) AS last_at FROM ohlcv
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND session = 'REGULAR'
