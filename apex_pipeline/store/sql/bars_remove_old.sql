-- Some of the bars that begin before a moment, of one length or of all; by their key, as every chunk of a hypertable has
-- a ctid of its own.
DELETE FROM ohlcv b
USING (SELECT o.symbol, o.timeframe, o.opened_at FROM ohlcv o
       WHERE o.opened_at < %(before)s AND (%(timeframe)s::text IS NULL OR o.timeframe = %(timeframe)s)
       LIMIT %(most)s) AS old
WHERE b.symbol = old.symbol AND b.timeframe = old.timeframe AND b.opened_at = old.opened_at
