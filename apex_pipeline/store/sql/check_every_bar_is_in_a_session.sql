-- E01. Every bar lies in a session of its exchange: an intraday bar overlaps the hours of a session (its pause at
-- midday left out, the auction after the close counted in), a bar of extended hours belongs to the hours around a
-- session, a daily bar is of a day with a session. One finding per symbol, timeframe and day: a shifted clock is one
-- fault, not 390. Compared is only what is known: not what trades around the clock or at hours of its own, nor days
-- without a calendar. Bars and days are made once: their dates are functions, which a join would call for every pair.
WITH placed AS MATERIALIZED (
    SELECT s.symbol, s.timeframe, s.exchange, h.place, h.timezone, h.is_daily, h.step, h.auction, x.extended_begins,
           x.extended_ends
    FROM ohlcv_series s
    CROSS JOIN LATERAL hours_of_bars(s.symbol, s.timeframe, s.exchange) AS h
    JOIN exchange_info x ON x.exchange = h.place
    WHERE h.calendar <> '24/7' AND s.last_at >= %(from_date)s::date - 2 AND s.first_at < %(to_date)s::date + 3
), days AS MATERIALIZED (
    -- The pause is told in the wall clock of the exchange.
    SELECT x.exchange AS place, d.on_date, d.calendar, d.is_session, d.opens_at, d.closes_at,
           (d.on_date + x.break_begins) AT TIME ZONE x.timezone AS break_begins_at,
           (d.on_date + x.break_ends) AT TIME ZONE x.timezone AS break_ends_at
    FROM exchange_info x JOIN market_days d USING (calendar)
    WHERE d.on_date BETWEEN %(from_date)s AND %(to_date)s AND x.exchange IN (SELECT place FROM placed)
), bars AS MATERIALIZED (
    -- Where extended hours begin in the evening, that evening belongs to the next day.
    SELECT p.*, b.opened_at, b.session = 'EXTENDED' AND NOT p.is_daily AS is_extended, clock.wall,
           date_of_bar(b.opened_at, p.is_daily, p.timezone)
           + CASE WHEN b.session = 'EXTENDED' AND NOT p.is_daily AND p.extended_begins >= p.extended_ends
                       AND clock.wall >= p.extended_begins THEN 1 ELSE 0 END AS on_date
    FROM placed p JOIN ohlcv b USING (symbol, timeframe)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN b.session = 'EXTENDED' THEN (b.opened_at AT TIME ZONE p.timezone)::time END AS wall) AS clock
    WHERE (b.session = 'REGULAR' OR p.extended_begins IS NOT NULL)
      AND b.opened_at >= %(from_date)s::date - 2 AND b.opened_at < %(to_date)s::date + 3
), numbered AS (
    SELECT b.symbol, b.timeframe, b.exchange, b.on_date, b.opened_at, d.calendar, d.is_session, d.opens_at, d.closes_at,
           row_number() OVER (PARTITION BY b.symbol, b.timeframe, b.on_date ORDER BY b.opened_at) AS n
    FROM bars b JOIN days d USING (place, on_date)
    WHERE NOT d.is_session
       OR (b.is_extended AND b.extended_begins < b.extended_ends
           AND (b.wall < b.extended_begins OR b.wall >= b.extended_ends))
       OR (NOT b.is_extended AND NOT b.is_daily
           AND (b.opened_at >= d.closes_at + b.auction OR b.opened_at + b.step <= d.opens_at
                OR (b.opened_at >= d.break_begins_at AND b.opened_at + b.step <= d.break_ends_at)))
)
SELECT NULL::text AS broker, NULL::text AS account_id, symbol || ' ' || timeframe AS subject, on_date AS business_date,
       0::numeric AS expected, count(*)::numeric AS actual, 'ERROR' AS severity, 'REFERENCE_DATA' AS cause,
       jsonb_build_object(
           'symbol', symbol, 'timeframe', timeframe, 'exchange', max(exchange), 'calendar', max(calendar),
           'is_session', bool_and(is_session), 'opens_at', min(opens_at), 'closes_at', max(closes_at),
           'bars', jsonb_agg(opened_at ORDER BY n) FILTER (WHERE n <= 20), 'last', max(opened_at),
           'rows', jsonb_agg(concat_ws('/', 'ohlcv', symbol, timeframe, to_jsonb(opened_at) #>> '{}') ORDER BY n)
                   FILTER (WHERE n <= 19) || to_jsonb(concat_ws('/', 'market_days', max(calendar), on_date))
       ) AS evidence
FROM numbered
GROUP BY symbol, timeframe, on_date
ORDER BY 3, 4
