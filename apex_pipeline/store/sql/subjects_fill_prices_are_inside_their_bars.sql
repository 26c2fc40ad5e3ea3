-- Fills of single instruments, within the session, of a minute whose bar is stored as it was traded: not adjusted, or for
-- splits of which none came after the fill.
SELECT t.broker, t.account_id, t.trade_date AS business_date, count(DISTINCT t.trade_uid) AS subjects
FROM trades_norm t
JOIN ohlcv b ON b.symbol = t.symbol AND b.timeframe IN ('1m', '1min')
            AND b.opened_at = date_trunc('minute', t.executed_at)
LEFT JOIN exchange_info x ON x.exchange = split_part(t.symbol, '.', 1)
LEFT JOIN market_days d ON d.calendar = x.calendar AND d.on_date = (t.executed_at AT TIME ZONE x.timezone)::date
LEFT JOIN orders_norm r ON r.order_uid = t.order_uid
WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.kind = 'TRADE' AND t.effective
  AND t.order_uid IS NOT NULL AND t.asset_class NOT IN ('COMBO', 'FX') AND b.session = 'REGULAR'
  AND (b.adjustment = 'NONE' OR (b.adjustment = 'SPLITS' AND NOT EXISTS (
           SELECT FROM corporate_actions c
           WHERE c.kind = 'SPLIT' AND c.business_date > t.trade_date
             AND (c.symbol = t.symbol OR c.instrument_id = t.instrument_id))))
  AND b.low <= least(b.open, b.close) AND b.high >= greatest(b.open, b.close)
  AND (d.on_date IS NULL OR (d.is_session AND (d.opens_at IS NULL OR t.executed_at BETWEEN d.opens_at AND d.closes_at)))
  AND r.legs IS NULL AND r.combo_id IS NULL
GROUP BY 1, 2, 3
