-- Some of the bars that begin before a moment, of one length or of all.
DELETE FROM ohlcv
WHERE ctid = ANY (array(SELECT o.ctid FROM ohlcv o
                        WHERE o.opened_at < %(before)s AND (%(timeframe)s::text IS NULL OR o.timeframe = %(timeframe)s)
                        LIMIT %(most)s))
