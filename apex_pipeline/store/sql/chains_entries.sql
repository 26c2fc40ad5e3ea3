-- The broker's own bookings of some families: expiries, assignments, exercises and what they delivered.
CREATE TEMPORARY TABLE IF NOT EXISTS told_entries (
    trade_uid text COLLATE "C" PRIMARY KEY, family text COLLATE "C" NOT NULL
) ON COMMIT DROP;
SELECT t.trade_uid, t.order_uid, d.family, t.symbol, coalesce(i.asset_class, t.asset_class) AS asset_class, t.kind, t.side, t.qty,
       t.price, coalesce(t.multiplier, i.multiplier) AS multiplier, t.currency, t.executed_at, t.trade_date, t.link_id,
       i.option_right, i.strike, i.expiry
FROM told_entries d JOIN trades_norm t USING (trade_uid) LEFT JOIN instruments i USING (symbol)
WHERE d.family = ANY (%(families)s)
ORDER BY t.trade_uid
