-- When the regular bars of a series begin, in microseconds since 1970.
SELECT array(SELECT (extract(epoch FROM b.opened_at) * 1000000)::bigint FROM ohlcv b
             WHERE b.symbol = %(symbol)s AND b.timeframe = %(timeframe)s AND b.session = 'REGULAR'
               AND b.opened_at >= %(from_at)s AND b.opened_at < %(to_at)s
             ORDER BY b.opened_at) AS opened
