-- What the chains of one account are told from, by family: its classified orders, the broker's book entries, and what was
-- realized of either. Returns for each family a hash of all that, the one of which it was last told, and its size.
-- Hashes hold no instants as text: that depends on a setting. They are added up, so their order does not matter.
CREATE TEMPORARY TABLE IF NOT EXISTS told_orders (
    order_uid text COLLATE "C" PRIMARY KEY, family text COLLATE "C" NOT NULL
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS told_entries (
    trade_uid text COLLATE "C" PRIMARY KEY, family text COLLATE "C" NOT NULL
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS told_gains (
    realized_uid text COLLATE "C", family text COLLATE "C", PRIMARY KEY (family, realized_uid)
) ON COMMIT DROP;
TRUNCATE told_orders, told_entries, told_gains;
INSERT INTO told_orders
SELECT DISTINCT ON (o.order_uid) o.order_uid, coalesce(m.underlying, split_part(o.symbol, ' ', 1))
FROM order_strategy_map m JOIN orders_norm o USING (order_uid)
WHERE m.account_id = %(account_id)s AND o.broker = %(broker)s
ORDER BY o.order_uid, m.strategy_uid;
ANALYZE told_orders;
INSERT INTO told_entries
SELECT t.trade_uid, coalesce(i.underlying, t.underlying, split_part(t.symbol, ' ', 1))
FROM trades_norm t LEFT JOIN instruments i USING (symbol)
WHERE t.account_id = %(account_id)s AND t.broker = %(broker)s AND t.order_uid IS NULL AND t.effective AND t.kind <> 'CANCEL';
ANALYZE told_entries;
-- A piece belongs to where it was opened and to where it was closed: a ticker may change in between.
INSERT INTO told_gains
SELECT r.realized_uid, of_family.family
FROM realized_pnl r
LEFT JOIN instruments i USING (symbol)
LEFT JOIN trades_norm t ON t.trade_uid = r.open_trade_uid
LEFT JOIN told_orders o ON o.order_uid = t.order_uid
LEFT JOIN told_entries e ON e.trade_uid = r.open_trade_uid
CROSS JOIN LATERAL (
    SELECT coalesce(i.underlying, r.underlying, split_part(r.symbol, ' ', 1)) AS family
    UNION SELECT coalesce(o.family, e.family)
) AS of_family
WHERE r.account_id = %(account_id)s AND r.broker = %(broker)s AND of_family.family IS NOT NULL;
ANALYZE told_gains;

WITH facts AS (
    SELECT d.family, 1 AS orders, hashtextextended(row(m.*)::text, 0) AS hash
    FROM told_orders d JOIN order_strategy_map m USING (order_uid)
    UNION ALL
    SELECT d.family, 0, hashtextextended(row(o.order_uid, o.symbol, o.side, o.filled_qty, o.avg_price, o.multiplier, o.currency,
                                             o.legs)::text, 1)
    FROM told_orders d JOIN orders_norm o USING (order_uid)
    UNION ALL
    SELECT d.family, 0, hashtextextended(row(t.trade_uid, t.order_uid, t.symbol, t.kind, t.side, t.qty, t.price, t.multiplier,
                                             t.currency, extract(epoch FROM t.executed_at), t.trade_date, t.link_id,
                                             t.asset_class, i.option_right, i.strike, i.expiry)::text, 2)
    FROM (
        SELECT t.trade_uid, d.family FROM told_orders d JOIN trades_norm t USING (order_uid)
        WHERE t.effective AND t.kind <> 'CANCEL'
        UNION ALL SELECT trade_uid, family FROM told_entries
    ) AS d JOIN trades_norm t USING (trade_uid) LEFT JOIN instruments i USING (symbol)
    UNION ALL
    SELECT d.family, 0, hashtextextended(row(f.fee_uid, f.order_uid, f.amount, f.currency)::text, 3)
    FROM told_orders d JOIN fees_norm f USING (order_uid)
    UNION ALL
    SELECT d.family, 0, hashtextextended(row(r.realized_uid, r.open_trade_uid, r.close_trade_uid, r.realized_pnl, r.currency,
                                             r.closed_on)::text, 4)
    FROM told_gains d JOIN realized_pnl r USING (realized_uid)
), families AS (
    SELECT family, sum(orders) AS orders, count(*) || ' ' || sum(hash) || ' ' || %(version)s::text AS told_from
    FROM facts GROUP BY 1 HAVING sum(orders) > 0
)
SELECT coalesce(f.family, t.underlying) AS family, coalesce(f.orders, 0)::bigint AS orders, f.told_from, t.told_from AS told_before
FROM families f FULL JOIN (
    SELECT * FROM told_families WHERE account_id = %(account_id)s AND broker = %(broker)s
) AS t ON t.underlying = f.family
ORDER BY 1
