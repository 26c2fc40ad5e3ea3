SELECT symbol, timeframe, opened_at, exchange, open, high, low, close, volume, session, adjustment, source FROM ohlcv
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND opened_at >= %(from_at)s AND opened_at < %(to_at)s
ORDER BY opened_at
