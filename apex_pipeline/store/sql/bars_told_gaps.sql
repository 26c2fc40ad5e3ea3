SELECT symbol, timeframe, from_at, to_at, reason, note, source, found_at FROM ohlcv_gaps
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND from_at < %(to_at)s AND to_at > %(from_at)s
ORDER BY from_at
