-- What the ledger holds at a moment, one row per position and one without for an account that holds nothing. Left out are
-- accounts of which a broker or an engine has told since what the ledger has not been told yet: they are known better.
WITH known AS (
    SELECT DISTINCT broker, account_id FROM position_movements
    UNION
    SELECT broker, account_id FROM load_coverage WHERE data_type IN ('ib_flex', 'futu_deals')
), account AS (
    SELECT k.broker, k.account_id FROM known k
    LEFT JOIN LATERAL (
        SELECT s.captured_at, coalesce(s.watermark_at, s.captured_at) AS mark FROM position_snapshots s
        WHERE s.broker = k.broker AND s.account_id = k.account_id AND s.watermark_count IS NULL
          AND s.captured_at > %(at)s::timestamptz - interval '7 days'
        ORDER BY s.captured_at DESC LIMIT 1
    ) AS told ON true
    WHERE (%(broker)s::text IS NULL OR k.broker = %(broker)s)
      AND (told.mark IS NULL OR is_comparable(k.broker, k.account_id, told.captured_at, told.mark, NULL, 0))
), held AS (
    SELECT m.broker, m.account_id, m.instrument_id, max(m.symbol) AS symbol, max(m.asset_class) AS asset_class,
           max(m.currency) AS currency, sum(m.qty) AS qty, count(*) AS movements, max(at.moment) AS mark
    FROM account a JOIN position_movements m USING (broker, account_id)
    CROSS JOIN LATERAL (SELECT coalesce(m.moved_at, m.ordered_at) AS moment) AS at
    WHERE at.moment <= %(at)s
    GROUP BY 1, 2, 3
), total AS (
    SELECT a.broker, a.account_id, coalesce(sum(h.movements), 0)::bigint AS movements, max(h.mark) AS mark
    FROM account a LEFT JOIN held h USING (broker, account_id) GROUP BY 1, 2
)
SELECT t.broker, t.account_id, t.movements, t.mark, h.instrument_id, coalesce(d.symbol, h.symbol) AS symbol,
       trim_scale(h.qty) AS qty, d.avg_cost, d.mark_price, d.market_value, d.unrealized_pnl,
       coalesce(d.currency, h.currency) AS currency, h.asset_class
FROM total t
LEFT JOIN held h ON h.broker = t.broker AND h.account_id = t.account_id AND h.qty <> 0
LEFT JOIN LATERAL (
    SELECT p.* FROM (
        SELECT p.* FROM positions_daily p
        WHERE p.account_id = h.account_id AND p.instrument_id = h.instrument_id
        ORDER BY p.business_date DESC LIMIT 1) AS p
    WHERE p.qty = h.qty
) AS d ON true
ORDER BY t.broker, t.account_id, symbol, h.instrument_id
