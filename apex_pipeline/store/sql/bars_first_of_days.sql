-- When the first regular bar of each day of a series begins, in microseconds since 1970.
SELECT array(SELECT (extract(epoch FROM min(b.opened_at)) * 1000000)::bigint FROM ohlcv b
             WHERE b.symbol = %(symbol)s AND b.timeframe = %(timeframe)s AND b.session = 'REGULAR'
             GROUP BY (b.opened_at AT TIME ZONE %(zone)s::text)::date
             ORDER BY 1) AS opened
