DELETE FROM ohlcv_gaps WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND from_at = ANY (%(begins)s::timestamptz[])
