-- Day trades of US stocks and options by both ways of counting (`domain.day_trades` says the rule for one security), of
-- some accounts from a day on each. A group is one security of one account on one day.
SET LOCAL work_mem = '128MB';
DROP TABLE IF EXISTS day_trades_now, day_moved, day_ranged, day_pieces;
CREATE TEMPORARY TABLE day_trades_now (LIKE day_trades) ON COMMIT DROP;
CREATE TEMPORARY TABLE day_moved (
    group_id bigint, rank bigint, movement_uid text COLLATE "C", broker text COLLATE "C", account_id text COLLATE "C",
    instrument_id text COLLATE "C", symbol text COLLATE "C", business_date date, qty numeric
) ON COMMIT DROP;
CREATE TEMPORARY TABLE day_ranged (
    group_id bigint, rank bigint, movement_uid text COLLATE "C", change bigint, opens numeric, opened_to numeric,
    closes numeric, closed_to numeric
) ON COMMIT DROP;
CREATE TEMPORARY TABLE day_pieces (
    group_id bigint, opened text COLLATE "C", opened_rank bigint, closed text COLLATE "C", closed_rank bigint, change bigint,
    qty numeric
) ON COMMIT DROP;
-- Only groups with purchases and sales can hold a day trade.
INSERT INTO day_moved
WITH scope AS (
    SELECT * FROM unnest(%(accounts)s::text[], %(days)s::date[]) AS s (account_id, from_day)
), traded AS (
    SELECT m.*, min(m.qty) OVER one_day < 0 AND max(m.qty) OVER one_day > 0 AS both_sides
    FROM position_movements m JOIN scope s ON s.account_id = m.account_id AND m.business_date >= s.from_day
    WHERE m.business_date >= (SELECT min(from_day) FROM scope)
      AND m.kind = 'TRADE' AND m.asset_class IN ('STOCK', 'OPTION', 'WARRANT') AND m.symbol LIKE 'US.%%'
    WINDOW one_day AS (PARTITION BY m.account_id, m.instrument_id, m.business_date)
)
SELECT dense_rank() OVER (ORDER BY account_id, instrument_id, business_date),
       row_number() OVER (PARTITION BY account_id, instrument_id, business_date
                          ORDER BY ordered_at, place, sequence, movement_uid),
       movement_uid, broker, account_id, instrument_id, symbol, business_date, qty
FROM traded WHERE both_sides AND qty <> 0;
ANALYZE day_moved;
-- own: what was opened today and is open before the movement. opens and closes: what it opens, and closes of what was opened
-- today; opened_to and closed_to: the same added up so far. change: how often something was opened before.
INSERT INTO day_ranged
WITH daily AS (
    SELECT m.account_id, m.instrument_id, m.business_date, sum(m.qty) AS total,
           coalesce(sum(m.qty) FILTER (WHERE m.place < %(trade_place)s), 0) AS early
    FROM position_movements m
    JOIN (SELECT DISTINCT account_id, instrument_id FROM day_moved) AS own USING (account_id, instrument_id)
    GROUP BY 1, 2, 3
), held AS (
    SELECT account_id, instrument_id, business_date,
           sum(total) OVER (PARTITION BY account_id, instrument_id ORDER BY business_date) - total + early AS held
    FROM daily
), after AS (
    SELECT m.group_id, m.rank, m.movement_uid, m.qty, h.held,
           h.held + sum(m.qty) OVER (PARTITION BY m.group_id ORDER BY m.rank ROWS UNBOUNDED PRECEDING) AS after
    FROM day_moved m JOIN held h USING (account_id, instrument_id, business_date)
), bounds AS (
    SELECT *, after - qty AS before,
           coalesce(min(after) OVER earlier, held) AS low, coalesce(max(after) OVER earlier, held) AS high
    FROM after
    WINDOW earlier AS (PARTITION BY group_id ORDER BY rank ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), owned AS (
    SELECT *, before - CASE WHEN held > 0 THEN greatest(0, least(held, low))
                            WHEN held < 0 THEN least(0, greatest(held, high)) ELSE 0 END AS own
    FROM bounds
), split AS (
    SELECT *, CASE WHEN qty * before < 0 THEN least(abs(qty), abs(own)) ELSE 0 END AS closes,
           CASE WHEN qty * before < 0 THEN greatest(abs(qty) - abs(before), 0) ELSE abs(qty) END AS opens
    FROM owned
)
SELECT group_id, rank, movement_uid, count(*) FILTER (WHERE opens > 0) OVER so_far - (opens > 0)::int,
       opens, sum(opens) OVER so_far, closes, sum(closes) OVER so_far
FROM split
WINDOW so_far AS (PARTITION BY group_id ORDER BY rank ROWS UNBOUNDED PRECEDING);
ANALYZE day_ranged;
INSERT INTO day_pieces
SELECT group_id, o.movement_uid, o.rank, c.movement_uid, c.rank, c.change,
       least(o.opened_to, c.closed_to) - greatest(o.opened_to - o.opens, c.closed_to - c.closes)
FROM day_ranged o JOIN day_ranged c USING (group_id)
WHERE o.opens > 0 AND c.closes > 0 AND o.opened_to - o.opens < c.closed_to AND c.closed_to - c.closes < o.opened_to;
ANALYZE day_pieces;
INSERT INTO day_trades_now
WITH keyed AS (
    SELECT 'DIRECTION_CHANGE' AS method, change::text AS by_what, '' AS with_what, p.* FROM day_pieces p
    UNION ALL
    SELECT 'ORDER_PAIR', coalesce(o.order_uid, p.opened), coalesce(c.order_uid, p.closed), p.*
    FROM day_pieces p LEFT JOIN trades_norm o ON o.trade_uid = p.opened LEFT JOIN trades_norm c ON c.trade_uid = p.closed
), marked AS (
    SELECT *, row_number() OVER (PARTITION BY group_id, method, by_what, with_what, opened
                                 ORDER BY closed_rank) = 1 AS first_of_opened,
           row_number() OVER (PARTITION BY group_id, method, by_what, with_what, closed
                              ORDER BY opened_rank) = 1 AS first_of_closed
    FROM keyed
), counted AS (
    SELECT group_id, method, sum(qty) AS qty,
           jsonb_agg(opened ORDER BY opened_rank) FILTER (WHERE first_of_opened) AS opened,
           jsonb_agg(closed ORDER BY closed_rank) FILTER (WHERE first_of_closed) AS closed
    FROM marked GROUP BY group_id, method, by_what, with_what
)
SELECT c.method || ':' || (c.opened ->> 0) || ':' || (c.closed ->> 0), g.broker, g.account_id, g.symbol, g.business_date,
       c.method, c.opened ->> 0, c.closed ->> 0, c.opened, c.closed, trim_scale(c.qty), r.regime
FROM counted c
JOIN day_moved g ON g.group_id = c.group_id AND g.rank = 1
JOIN unnest(%(regime_accounts)s::text[], %(regime_firsts)s::date[], %(regime_lasts)s::date[], %(regimes)s::text[])
     AS r (account_id, first_day, last_day, regime)
  ON r.account_id = g.account_id AND g.business_date BETWEEN r.first_day AND r.last_day;
ANALYZE day_trades_now;
DELETE FROM day_trades t USING unnest(%(accounts)s::text[], %(days)s::date[]) AS s (account_id, from_day)
WHERE t.account_id = s.account_id AND t.trade_date >= s.from_day
  AND NOT EXISTS (SELECT FROM day_trades_now n WHERE n.day_trade_uid = t.day_trade_uid)
