-- Losses of US stocks and options with a purchase of the same thing near them, over all accounts: one flag per closing trade
-- and account that bought, naming the purchase nearest to it. A purchase before the loss counts while some of it was kept.
SET LOCAL work_mem = '128MB';
DROP TABLE IF EXISTS wash_now, wash_bought, wash_losses;
CREATE TEMPORARY TABLE wash_now (LIKE wash_sale_flags) ON COMMIT DROP;
CREATE TEMPORARY TABLE wash_bought (
    underlying text COLLATE "C", account_id text COLLATE "C", symbol text COLLATE "C", any_of_it boolean, opened_on date,
    opened_at timestamptz, kept_until date, trade_uid text COLLATE "C"
) ON COMMIT DROP;
CREATE TEMPORARY TABLE wash_losses (
    broker text COLLATE "C", account_id text COLLATE "C", symbol text COLLATE "C", underlying text COLLATE "C",
    close_trade_uid text COLLATE "C", closed_on date, closed_at timestamptz, realized_pnl numeric, currency text COLLATE "C",
    own text[], any_of_it boolean
) ON COMMIT DROP;
-- In the order of the index: it is read a purchase at a time.
INSERT INTO wash_bought
SELECT coalesce(l.underlying, l.symbol), l.account_id, l.symbol, l.asset_class = 'STOCK' OR l.option_right = 'C', l.opened_on,
       l.opened_at, l.kept_until, l.open_trade_uid
FROM (
    SELECT l.account_id, l.open_trade_uid, min(l.underlying) AS underlying, min(l.symbol) AS symbol,
           min(l.asset_class) AS asset_class, min(i.option_right) AS option_right, min(l.opened_on) AS opened_on,
           min(l.opened_at) AS opened_at, max(coalesce(l.closed_on, 'infinity')) AS kept_until,
           bool_or(l.origin IN ('TRADE', 'EXERCISE', 'ASSIGNMENT')) AS was_bought
    FROM lots l LEFT JOIN instruments i ON l.asset_class = 'OPTION' AND i.symbol = l.symbol
    WHERE l.qty > 0 AND l.opened_on >= %(since)s::date - %(days)s::int AND l.open_trade_uid IS NOT NULL
      AND l.asset_class IN ('STOCK', 'OPTION') AND l.symbol LIKE 'US.%%'
    GROUP BY 1, 2
) AS l WHERE l.was_bought
ORDER BY 1, 2, 5;
CREATE INDEX ON wash_bought (underlying, account_id, opened_on, opened_at, trade_uid);
ANALYZE wash_bought;
INSERT INTO wash_losses
SELECT r.broker, r.account_id, r.symbol, coalesce(r.underlying, r.symbol) AS underlying, r.close_trade_uid, r.closed_on,
       r.closed_at, sum(r.realized_pnl) AS realized_pnl, min(r.currency) AS currency,
       coalesce(array_agg(r.open_trade_uid) FILTER (WHERE r.open_trade_uid IS NOT NULL), '{}') AS own,
       bool_or(i.option_right = 'P') IS NOT TRUE AS any_of_it
FROM realized_pnl r LEFT JOIN instruments i ON r.asset_class = 'OPTION' AND i.symbol = r.symbol
WHERE r.closed_on >= %(since)s::date AND r.realized_pnl < 0 AND r.direction = 'LONG'
  AND r.asset_class IN ('STOCK', 'OPTION') AND r.symbol LIKE 'US.%%'
  AND coalesce(r.underlying, r.symbol) NOT LIKE %(index_prefix)s || '%%'
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY 4, 6;
ANALYZE wash_losses;
INSERT INTO wash_now
WITH buyers AS (
    SELECT DISTINCT underlying, account_id FROM wash_bought
)
SELECT l.close_trade_uid || ':' || b.account_id, l.broker, l.account_id, l.symbol, l.close_trade_uid, l.closed_on,
       trim_scale(l.realized_pnl), l.currency, n.trade_uid, b.account_id, n.symbol, n.opened_on,
       format('Bought %%s by %%s. %%s',
              CASE WHEN n.opened_on = l.closed_on THEN 'on the day of the loss'
                   ELSE format('%%s %%s the loss', CASE n.gap WHEN 1 THEN '1 day' ELSE n.gap || ' days' END,
                               CASE n.rank WHEN 1 THEN 'after' ELSE 'before' END) END,
              CASE WHEN b.account_id = l.account_id THEN 'the same account' ELSE 'another account' END, %(note)s::text)
FROM wash_losses l
JOIN buyers b USING (underlying)
CROSS JOIN LATERAL (
    (SELECT a.trade_uid, a.symbol, a.opened_on, a.opened_on - l.closed_on AS gap, 1 AS rank FROM wash_bought a
     WHERE a.underlying = l.underlying AND a.account_id = b.account_id
       AND a.opened_on BETWEEN l.closed_on AND l.closed_on + %(days)s::int
       AND (a.opened_on > l.closed_on OR a.opened_at > l.closed_at)
       AND ((l.any_of_it AND a.any_of_it) OR a.symbol = l.symbol) AND a.trade_uid <> ALL (l.own)
     ORDER BY a.opened_on, a.opened_at, a.trade_uid LIMIT 1)
    UNION ALL
    (SELECT a.trade_uid, a.symbol, a.opened_on, l.closed_on - a.opened_on, 2 FROM wash_bought a
     WHERE a.underlying = l.underlying AND a.account_id = b.account_id
       AND a.opened_on BETWEEN l.closed_on - %(days)s::int AND l.closed_on AND a.kept_until > l.closed_on
       AND ((l.any_of_it AND a.any_of_it) OR a.symbol = l.symbol) AND a.trade_uid <> ALL (l.own)
     ORDER BY a.opened_on DESC, a.opened_at DESC, a.trade_uid DESC LIMIT 1)
    ORDER BY gap, rank LIMIT 1
) AS n;
ANALYZE wash_now;
DELETE FROM wash_sale_flags t
WHERE t.closed_on >= %(since)s::date AND NOT EXISTS (SELECT FROM wash_now n WHERE n.flag_uid = t.flag_uid)
