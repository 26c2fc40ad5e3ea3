-- The executions of the orders of some families. An order of which none is known stands for itself, leg by leg.
CREATE TEMPORARY TABLE IF NOT EXISTS told_orders (
    order_uid text COLLATE "C" PRIMARY KEY, family text COLLATE "C" NOT NULL
) ON COMMIT DROP;
WITH orders AS (
    SELECT o.*, d.family FROM told_orders d JOIN orders_norm o USING (order_uid) WHERE d.family = ANY (%(families)s)
), fills AS (
    SELECT t.trade_uid, t.order_uid, o.family, t.symbol, t.asset_class, t.kind, t.side, t.qty, t.price, t.multiplier,
           coalesce(t.currency, o.currency) AS currency, t.executed_at, t.trade_date, t.link_id
    FROM orders o JOIN trades_norm t USING (order_uid)
    WHERE t.effective AND t.kind <> 'CANCEL'
    UNION ALL
    SELECT o.order_uid || coalesce(' ' || leg.symbol, ''), o.order_uid, o.family, coalesce(leg.symbol, o.symbol), NULL, 'TRADE',
           coalesce(leg.side, o.side), coalesce(o.filled_qty, o.qty) * coalesce(leg.ratio, 1),
           CASE WHEN leg.symbol IS NULL THEN o.avg_price END, CASE WHEN leg.symbol IS NULL THEN o.multiplier END,
           o.currency, coalesce(o.updated_at, o.created_at), o.trade_date, NULL
    FROM orders o
    LEFT JOIN LATERAL jsonb_to_recordset(o.legs) AS leg (symbol text, side text, ratio numeric) ON o.legs IS NOT NULL
    WHERE coalesce(o.filled_qty, o.qty) > 0 AND coalesce(leg.side, o.side) IS NOT NULL
      AND NOT EXISTS (SELECT FROM trades_norm t WHERE t.order_uid = o.order_uid AND t.effective AND t.kind <> 'CANCEL')
)
SELECT f.trade_uid, f.order_uid, f.family, f.symbol, coalesce(i.asset_class, f.asset_class, 'OTHER') AS asset_class, f.kind,
       f.side, f.qty, f.price, coalesce(f.multiplier, i.multiplier) AS multiplier, f.currency, f.executed_at, f.trade_date,
       f.link_id, i.option_right, i.strike, i.expiry
FROM fills f LEFT JOIN instruments i USING (symbol)
ORDER BY f.trade_uid
