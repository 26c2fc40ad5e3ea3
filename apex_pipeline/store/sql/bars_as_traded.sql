SELECT opened_at FROM ohlcv
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND adjustment = 'NONE'
  AND opened_at BETWEEN %(from_at)s AND %(to_at)s
