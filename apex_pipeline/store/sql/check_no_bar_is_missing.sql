-- E02. From the first to the last bar of a symbol and timeframe no bar is missing: a daily one of every session,
-- intraday ones one after the other from opening to close (without the pause at midday), unless ohlcv_gaps names a
-- reason. Bars that are aligned to the hour and bars that are aligned to the opening are both right, so what counts is
-- the time of trading between the end of a bar and the next one. What belongs to no exchange trades around the clock.
-- Options and warrants are left out: no trade, no bar, and nothing here can tell that from a lost one. One finding per
-- symbol, timeframe and day.
WITH placed AS MATERIALIZED (
    SELECT s.symbol, s.timeframe, h.place, h.timezone, h.calendar, h.is_daily, h.step, s.first_at, s.last_at
    FROM ohlcv_series s CROSS JOIN LATERAL hours_of_bars(s.symbol, s.timeframe, s.exchange) AS h
    WHERE h.calendar IS NOT NULL AND NOT h.is_sparse AND s.last_at >= %(from_date)s::date - 2
), spanned AS MATERIALIZED (
    -- A stray bar outside of all sessions makes the series no longer than it is.
    SELECT p.symbol, p.timeframe, p.place, p.timezone, p.calendar, p.is_daily, p.step, span.first_at, span.last_at,
           date_of_bar(span.first_at, p.is_daily, p.timezone) AS first_on,
           date_of_bar(span.last_at, p.is_daily, p.timezone) AS last_on
    FROM placed p
    CROSS JOIN LATERAL (
        SELECT CASE p.calendar WHEN '24/7' THEN p.first_at ELSE (
                   SELECT b.opened_at FROM ohlcv b
                   JOIN market_days d ON d.calendar = p.calendar AND d.is_session
                        AND d.on_date = date_of_bar(b.opened_at, p.is_daily, p.timezone)
                   WHERE b.symbol = p.symbol AND b.timeframe = p.timeframe AND b.session = 'REGULAR'
                     AND b.opened_at >= (SELECT min(m.on_date) FROM market_days m WHERE m.calendar = p.calendar)
                     AND (p.is_daily OR (b.opened_at < d.closes_at AND b.opened_at + p.step > d.opens_at))
                   ORDER BY b.opened_at LIMIT 1) END AS first_at,
               CASE p.calendar WHEN '24/7' THEN p.last_at ELSE (
                   SELECT b.opened_at FROM ohlcv b
                   JOIN market_days d ON d.calendar = p.calendar AND d.is_session
                        AND d.on_date = date_of_bar(b.opened_at, p.is_daily, p.timezone)
                   WHERE b.symbol = p.symbol AND b.timeframe = p.timeframe AND b.session = 'REGULAR'
                     AND b.opened_at < (SELECT max(m.on_date) FROM market_days m WHERE m.calendar = p.calendar) + 1
                     AND (p.is_daily OR (b.opened_at < d.closes_at AND b.opened_at + p.step > d.opens_at))
                   ORDER BY b.opened_at DESC LIMIT 1) END AS last_at
    ) AS span
    WHERE span.first_at IS NOT NULL
), sessions AS MATERIALIZED (
    SELECT p.symbol, p.timeframe, p.is_daily, p.step, p.timezone, d.calendar, d.on_date, d.opens_at, d.closes_at,
           greatest(d.opens_at, p.first_at) AS starts_at, least(d.closes_at, p.last_at + p.step) AS ends_at,
           -- A session without known hours is looked for on its whole day.
           coalesce(d.opens_at, d.on_date::timestamp AT TIME ZONE p.timezone) AS day_from,
           coalesce(d.closes_at, (d.on_date + 1)::timestamp AT TIME ZONE p.timezone) AS day_to,
           CASE WHEN pause.from_at < d.closes_at THEN pause.from_at END AS break_from,
           CASE WHEN pause.from_at < d.closes_at THEN pause.to_at END AS break_to
    FROM spanned p
    JOIN LATERAL (
        SELECT m.calendar, m.on_date, m.opens_at, m.closes_at FROM market_days m
        WHERE m.calendar = p.calendar AND m.is_session
          AND m.on_date BETWEEN greatest(%(from_date)s, p.first_on) AND least(%(to_date)s, p.last_on)
        UNION ALL
        SELECT p.calendar, day::date, day AT TIME ZONE 'UTC', (day + interval '1 day') AT TIME ZONE 'UTC'
        FROM generate_series(greatest(%(from_date)s, p.first_on)::timestamp, least(%(to_date)s, p.last_on)::timestamp,
                             interval '1 day') AS day
        WHERE p.calendar = '24/7'
    ) AS d ON true
    LEFT JOIN exchange_info x ON x.exchange = p.place
    CROSS JOIN LATERAL (
        SELECT (d.on_date + x.break_begins) AT TIME ZONE p.timezone AS from_at,
               (d.on_date + x.break_ends) AT TIME ZONE p.timezone AS to_at) AS pause
    WHERE p.is_daily OR d.opens_at IS NOT NULL
), told AS (
    SELECT p.symbol, p.timeframe, date_of_bar(b.opened_at, true, p.timezone) AS on_date
    FROM placed p JOIN ohlcv b USING (symbol, timeframe)
    WHERE p.is_daily AND b.opened_at BETWEEN %(from_date)s::date - 2 AND %(to_date)s::date + 2
), holes AS (
    -- From the end of a bar to the next one or the close, and from the opening to the first bar, in the time of trading,
    -- in which the pause has no length. A bar may begin before the opening, where it is aligned to the hour.
    SELECT s.symbol, s.timeframe, s.on_date, s.step, s.break_from, s.break_to, hole.*
    FROM sessions s
    CROSS JOIN LATERAL (SELECT s.ends_at - coalesce(s.break_to - s.break_from, '0') AS tick) AS close
    CROSS JOIN LATERAL (
        WITH ticks AS (
            SELECT b.opened_at, CASE WHEN b.opened_at > s.break_from
                                     THEN greatest(b.opened_at - (s.break_to - s.break_from), s.break_from)
                                     ELSE b.opened_at END AS tick
            FROM ohlcv b
            WHERE b.symbol = s.symbol AND b.timeframe = s.timeframe AND b.session = 'REGULAR'
              AND b.opened_at > s.starts_at - s.step AND b.opened_at < s.ends_at
        )
        SELECT opened_at AS neighbour, tick + s.step AS from_tick,
               coalesce(lead(tick) OVER (ORDER BY opened_at), close.tick) AS to_tick
        FROM ticks
        UNION ALL
        SELECT NULL, s.starts_at, coalesce(min(tick), close.tick) FROM ticks
    ) AS hole
    WHERE NOT s.is_daily AND hole.from_tick < hole.to_tick
), lost AS (
    SELECT h.symbol, h.timeframe, h.on_date, h.neighbour, due.at AS opened_at, due.at + h.step AS ends_at
    FROM holes h
    CROSS JOIN LATERAL generate_series(h.from_tick, h.to_tick - interval '1 microsecond', h.step) AS tick (at)
    CROSS JOIN LATERAL (
        SELECT tick.at + CASE WHEN tick.at >= h.break_from THEN h.break_to - h.break_from ELSE '0' END AS at) AS due
    UNION ALL
    SELECT s.symbol, s.timeframe, s.on_date, NULL, s.day_from, s.day_to
    FROM sessions s LEFT JOIN told t USING (symbol, timeframe, on_date)
    WHERE s.is_daily AND t.on_date IS NULL
), missing AS (
    SELECT l.*, row_number() OVER (PARTITION BY symbol, timeframe, on_date ORDER BY opened_at) AS n
    FROM lost l
    WHERE NOT EXISTS (SELECT FROM ohlcv_gaps g
                      WHERE g.symbol = l.symbol AND g.timeframe = l.timeframe
                        AND g.from_at < l.ends_at AND g.to_at > l.opened_at)
), found AS (
    SELECT symbol, timeframe, on_date, count(*) AS lacking, max(opened_at) AS last,
           jsonb_agg(opened_at ORDER BY n) FILTER (WHERE n <= 20) AS first_ones,
           coalesce(jsonb_agg(DISTINCT concat_ws('/', 'ohlcv', symbol, timeframe, to_jsonb(neighbour) #>> '{}'))
                    FILTER (WHERE neighbour IS NOT NULL AND n <= 19), '[]') AS neighbours
    FROM missing GROUP BY 1, 2, 3
)
SELECT NULL::text AS broker, NULL::text AS account_id, f.symbol || ' ' || f.timeframe AS subject,
       f.on_date AS business_date, (present.bars + f.lacking)::numeric AS expected, present.bars::numeric AS actual,
       'ERROR' AS severity, 'MISSING_B' AS cause,
       jsonb_build_object(
           'symbol', f.symbol, 'timeframe', f.timeframe, 'calendar', s.calendar, 'opens_at', s.opens_at,
           'closes_at', s.closes_at, 'missing', f.first_ones, 'last', f.last,
           'rows', f.neighbours || CASE WHEN s.calendar = '24/7' THEN '[]'
                                        ELSE to_jsonb(concat_ws('/', 'market_days', s.calendar, f.on_date)) END
       ) AS evidence
FROM found f
JOIN sessions s USING (symbol, timeframe, on_date)
CROSS JOIN LATERAL (
    SELECT count(*) AS bars FROM ohlcv b
    WHERE NOT s.is_daily AND b.symbol = s.symbol AND b.timeframe = s.timeframe AND b.session = 'REGULAR'
      AND b.opened_at > s.starts_at - s.step AND b.opened_at < s.ends_at
) AS present
ORDER BY 3, 4
