SELECT symbol, timeframe, opened_at, exchange, open, high, low, close, volume, session, adjustment, source FROM ohlcv
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s
ORDER BY opened_at DESC LIMIT %(most)s
