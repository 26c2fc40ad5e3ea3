-- E03. The low of a bar is not above any of its prices, its high not below any, and its volume not negative (it may be
-- unknown). No tolerance: the four prices come from the same trades. Prices may be negative, as those of futures have
-- been. One finding per symbol, timeframe and day, with what is wrong of each bar.
WITH dated AS (
    SELECT b.symbol, b.timeframe, b.opened_at, b.open, b.high, b.low, b.close, b.volume, b.source,
           date_of_bar(b.opened_at, h.is_daily, h.timezone) AS on_date,
           concat_ws(', ', CASE WHEN b.low > least(b.open, b.high, b.close) THEN 'low is not the lowest' END,
                     CASE WHEN b.high < greatest(b.open, b.low, b.close) THEN 'high is not the highest' END,
                     CASE WHEN b.volume < 0 THEN 'volume is negative' END) AS wrong
    FROM ohlcv_series s
    CROSS JOIN LATERAL hours_of_bars(s.symbol, s.timeframe, s.exchange) AS h
    JOIN ohlcv b ON b.symbol = s.symbol AND b.timeframe = s.timeframe
    WHERE b.opened_at >= %(from_date)s::date - 2 AND b.opened_at < %(to_date)s::date + 3
      AND (b.low > least(b.open, b.high, b.close) OR b.high < greatest(b.open, b.low, b.close) OR b.volume < 0)
), numbered AS (
    SELECT d.*, row_number() OVER (PARTITION BY symbol, timeframe, on_date ORDER BY opened_at) AS n
    FROM dated d WHERE on_date BETWEEN %(from_date)s AND %(to_date)s
)
SELECT NULL::text AS broker, NULL::text AS account_id, symbol || ' ' || timeframe AS subject, on_date AS business_date,
       0::numeric AS expected, count(*)::numeric AS actual, 'ERROR' AS severity, 'REFERENCE_DATA' AS cause,
       jsonb_build_object(
           'symbol', symbol, 'timeframe', timeframe,
           'bars', jsonb_agg(jsonb_build_object(
               'opened_at', opened_at, 'wrong', wrong, 'open', open::text, 'high', high::text, 'low', low::text,
               'close', close::text, 'volume', volume::text, 'source', source) ORDER BY n) FILTER (WHERE n <= 20),
           'rows', jsonb_agg(concat_ws('/', 'ohlcv', symbol, timeframe, to_jsonb(opened_at) #>> '{}') ORDER BY n)
                   FILTER (WHERE n <= 20)
       ) AS evidence
FROM numbered
GROUP BY symbol, timeframe, on_date
ORDER BY 3, 4
