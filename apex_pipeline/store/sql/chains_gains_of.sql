-- What was realized of the orders and book entries of some families.
CREATE TEMPORARY TABLE IF NOT EXISTS told_gains (
    realized_uid text COLLATE "C", family text COLLATE "C", PRIMARY KEY (family, realized_uid)
) ON COMMIT DROP;
SELECT r.realized_uid, d.family, r.open_trade_uid, r.close_trade_uid, r.realized_pnl, r.currency, r.closed_on
FROM told_gains d JOIN realized_pnl r USING (realized_uid)
WHERE d.family = ANY (%(families)s)
ORDER BY r.realized_uid
