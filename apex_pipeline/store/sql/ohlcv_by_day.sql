-- Bars by the exchange's own date.
WITH dated AS (
    SELECT date_of_bar(b.opened_at, h.is_daily, h.timezone) AS day
    FROM ohlcv_series s
    CROSS JOIN LATERAL hours_of_bars(s.symbol, s.timeframe, s.exchange) AS h
    JOIN ohlcv b ON b.symbol = s.symbol AND b.timeframe = s.timeframe
    WHERE b.opened_at >= %(from_date)s::date - 2 AND b.opened_at < %(to_date)s::date + 3
)
SELECT day, count(*) AS rows FROM dated WHERE day BETWEEN %(from_date)s AND %(to_date)s GROUP BY 1
