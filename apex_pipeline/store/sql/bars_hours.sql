-- Where and when the bars of a series are due; its exchange is the one that its newest bar names.
SELECT h.timezone, h.calendar, h.is_daily, h.is_sparse, x.break_begins, x.break_ends,
       (extract(epoch FROM h.step) * 1000000)::bigint AS step
FROM hours_of_bars(%(symbol)s, %(timeframe)s, coalesce(%(exchange)s::text, (
         SELECT o.exchange FROM ohlcv o WHERE o.symbol = %(symbol)s AND o.timeframe = %(timeframe)s
         ORDER BY o.opened_at DESC LIMIT 1))) AS h
LEFT JOIN exchange_info x ON x.exchange = h.place
