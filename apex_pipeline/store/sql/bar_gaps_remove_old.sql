DELETE FROM ohlcv_gaps WHERE to_at <= %(before)s AND (%(timeframe)s::text IS NULL OR timeframe = %(timeframe)s)
