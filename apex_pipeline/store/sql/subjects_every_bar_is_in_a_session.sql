-- Bars of days that the calendar of their exchange knows; what trades around the clock or at hours of its own is not
-- compared.
WITH placed AS MATERIALIZED (
    SELECT s.symbol, s.timeframe, h.timezone, h.calendar, h.is_daily, x.extended_begins, x.extended_ends
    FROM ohlcv_series s
    CROSS JOIN LATERAL hours_of_bars(s.symbol, s.timeframe, s.exchange) AS h
    JOIN exchange_info x ON x.exchange = h.place
    WHERE h.calendar <> '24/7' AND s.last_at >= %(from_date)s::date - 2 AND s.first_at < %(to_date)s::date + 3
), dated AS (
    SELECT p.calendar, count(*) AS bars,
           date_of_bar(b.opened_at, p.is_daily, p.timezone)
           + CASE WHEN b.session = 'EXTENDED' AND p.extended_begins >= p.extended_ends AND NOT p.is_daily
                       AND (b.opened_at AT TIME ZONE p.timezone)::time >= p.extended_begins THEN 1 ELSE 0 END AS on_date
    FROM placed p JOIN ohlcv b USING (symbol, timeframe)
    WHERE (b.session = 'REGULAR' OR p.extended_begins IS NOT NULL)
      AND b.opened_at >= %(from_date)s::date - 2 AND b.opened_at < %(to_date)s::date + 3
    GROUP BY 1, 3
)
SELECT NULL::text AS broker, NULL::text AS account_id, on_date AS business_date, sum(bars)::bigint AS subjects
FROM dated JOIN market_days USING (calendar, on_date)
WHERE on_date BETWEEN %(from_date)s AND %(to_date)s
GROUP BY on_date
