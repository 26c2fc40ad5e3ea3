-- Sessions between the first and the last bar of each symbol and timeframe.
WITH placed AS MATERIALIZED (
    SELECT h.calendar, h.is_daily, date_of_bar(s.first_at, h.is_daily, h.timezone) AS first_on,
           date_of_bar(s.last_at, h.is_daily, h.timezone) AS last_on
    FROM ohlcv_series s CROSS JOIN LATERAL hours_of_bars(s.symbol, s.timeframe, s.exchange) AS h
    WHERE h.calendar IS NOT NULL AND NOT h.is_sparse
)
SELECT NULL::text AS broker, NULL::text AS account_id, d.on_date AS business_date, count(*) AS subjects
FROM placed p
JOIN LATERAL (
    SELECT m.on_date FROM market_days m
    WHERE m.calendar = p.calendar AND m.is_session AND (p.is_daily OR m.opens_at IS NOT NULL)
      AND m.on_date BETWEEN greatest(%(from_date)s, p.first_on) AND least(%(to_date)s, p.last_on)
    UNION ALL
    SELECT day::date FROM generate_series(greatest(%(from_date)s, p.first_on)::timestamp,
                                          least(%(to_date)s, p.last_on)::timestamp, interval '1 day') AS day
    WHERE p.calendar = '24/7'
) AS d ON true
GROUP BY d.on_date
