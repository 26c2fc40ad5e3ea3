-- E04. The price of a fill lies between low and high of its minute, give or take a tick (0.01, or one in ten thousand
-- of the price: prices are rounded to ticks, bars and fills not always to the same). A fill may be told some seconds
-- after its print, so the minute before or after counts too where the fill is that near to it. Left out are legs of
-- combinations (only their net price is quoted), book entries, fills outside of the session (auctions, extended hours),
-- bars that were adjusted afterwards (for splits only where one is known that came after the fill) and bars of an impossible shape, of which E03 speaks. A fill beside minutes under two
-- names of their length is one finding.
WITH outside AS (
    SELECT t.trade_uid, t.order_uid, t.broker, t.account_id, t.symbol, t.side, t.qty, t.price, t.currency, t.trade_date,
           t.executed_at, b.timeframe, b.opened_at, b.adjustment, b.open, b.high, b.low, b.close, b.volume, b.source, tick.size AS tick
    FROM trades_norm t
    JOIN ohlcv b ON b.symbol = t.symbol AND b.timeframe IN ('1m', '1min')
                AND b.opened_at = date_trunc('minute', t.executed_at)
    CROSS JOIN LATERAL (SELECT greatest(0.01, abs(t.price) * 0.0001) AS size) AS tick
    LEFT JOIN exchange_info x ON x.exchange = split_part(t.symbol, '.', 1)
    LEFT JOIN market_days d ON d.calendar = x.calendar AND d.on_date = (t.executed_at AT TIME ZONE x.timezone)::date
    WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.kind = 'TRADE' AND t.effective
      AND t.order_uid IS NOT NULL AND t.asset_class NOT IN ('COMBO', 'FX') AND b.session = 'REGULAR'
      AND (b.adjustment = 'NONE' OR (b.adjustment = 'SPLITS' AND NOT EXISTS (
               SELECT FROM corporate_actions c
               WHERE c.kind = 'SPLIT' AND c.business_date > t.trade_date
                 AND (c.symbol = t.symbol OR c.instrument_id = t.instrument_id))))
      AND b.low <= least(b.open, b.close) AND b.high >= greatest(b.open, b.close)
      AND (d.on_date IS NULL
           OR (d.is_session AND (d.opens_at IS NULL OR t.executed_at BETWEEN d.opens_at AND d.closes_at)))
      AND t.price NOT BETWEEN b.low - tick.size AND b.high + tick.size
)
SELECT DISTINCT ON (o.broker, o.account_id, o.trade_uid)
       o.broker, o.account_id, o.trade_uid AS subject, o.trade_date AS business_date,
       CASE WHEN o.price < near.low THEN near.low ELSE near.high END AS expected, o.price AS actual, o.currency,
       'WARN' AS severity, NULL::text AS cause,
       jsonb_build_object(
           'symbol', o.symbol, 'side', o.side, 'qty', trim_scale(o.qty)::text, 'price', o.price::text,
           'executed_at', o.executed_at, 'order_uid', o.order_uid, 'low', near.low::text, 'high', near.high::text,
           'bar', jsonb_build_object('opened_at', o.opened_at, 'open', o.open::text, 'high', o.high::text,
                                     'low', o.low::text, 'close', o.close::text, 'volume', o.volume::text,
                                     'source', o.source),
           'rows', jsonb_build_array(
               o.trade_uid, concat_ws('/', 'ohlcv', o.symbol, o.timeframe, to_jsonb(o.opened_at) #>> '{}'))
       ) AS evidence
FROM outside o
LEFT JOIN orders_norm r ON r.order_uid = o.order_uid
CROSS JOIN LATERAL (
    SELECT min(n.low) AS low, max(n.high) AS high FROM ohlcv n
    WHERE n.symbol = o.symbol AND n.timeframe = o.timeframe AND n.adjustment = o.adjustment
      AND n.opened_at IN (o.opened_at, date_trunc('minute', o.executed_at - interval '5 seconds'),
                          date_trunc('minute', o.executed_at + interval '1 second'))
) AS near
WHERE r.legs IS NULL AND r.combo_id IS NULL AND o.price NOT BETWEEN near.low - o.tick AND near.high + o.tick
ORDER BY 1, 2, 3, o.timeframe
