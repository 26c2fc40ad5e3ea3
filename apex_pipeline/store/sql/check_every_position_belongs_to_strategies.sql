-- C09. What open strategies hold of a contract is our position in it, by the newest known state: not bound to a day.
-- Names may change, and so may the broker's id under one name (a reverse split), so contracts are followed by the lowest of
-- the ids that share a name. Nothing is compared where the ledger stopped, where an order is read as the close of something
-- from before the history that nobody told of (the ledger has a position there that never was), where an
-- option has expired (which other checks look at), and where an order and its trades disagree. Strategies of Futu may begin
-- with what its first snapshot shows beyond the known trades, which the ledger does not hold: there the newest snapshot
-- and what moved since decide.
WITH named AS (
    SELECT DISTINCT broker, account_id, symbol, instrument_id AS own_id FROM position_movements
), ids AS (
    SELECT n.broker, n.account_id, n.symbol, n.own_id, min(other.own_id) AS instrument_id
    FROM named n JOIN named other USING (broker, account_id, symbol) GROUP BY 1, 2, 3, 4
), roots AS (
    SELECT broker, account_id, own_id, min(instrument_id) AS instrument_id FROM ids GROUP BY 1, 2, 3
), followed AS (
    SELECT i.broker, i.account_id, i.symbol, min(r.instrument_id) AS instrument_id
    FROM ids i JOIN roots r USING (broker, account_id, own_id) GROUP BY 1, 2, 3
), ours AS (
    SELECT p.broker, p.account_id, coalesce(f.instrument_id, p.symbol) AS instrument_id, max(p.symbol) AS symbol,
           sum(p.qty) AS qty
    FROM strategy_positions p LEFT JOIN followed f USING (broker, account_id, symbol)
    GROUP BY 1, 2, 3
), ledger AS (
    SELECT broker, account_id, r.instrument_id, max(m.symbol) AS symbol, sum(m.qty) AS qty, max(m.business_date) AS last_day
    FROM position_movements m JOIN roots r USING (broker, account_id)
    WHERE r.own_id = m.instrument_id AND m.asset_class NOT IN ('FX', 'COMBO') GROUP BY 1, 2, 3
), differing AS (
    SELECT broker, account_id, instrument_id, coalesce(l.symbol, o.symbol) AS symbol, coalesce(l.qty, 0) AS expected,
           coalesce(o.qty, 0) AS actual, l.last_day
    FROM ledger l FULL JOIN ours o USING (broker, account_id, instrument_id)
    WHERE abs(coalesce(l.qty, 0) - coalesce(o.qty, 0)) > 1e-8
)
SELECT d.broker, d.account_id, concat_ws(' ', d.symbol, nullif(d.instrument_id, d.symbol)) AS subject,
       NULL::date AS business_date, trim_scale(d.expected) AS expected, trim_scale(d.actual) AS actual, 'ERROR' AS severity,
       NULL AS cause, jsonb_build_object('instrument_id', d.instrument_id, 'symbol', d.symbol) AS evidence
FROM differing d
LEFT JOIN instruments i ON i.symbol = d.symbol
CROSS JOIN (SELECT max(business_date) AS on_day FROM position_movements) AS newest
WHERE %(from_date)s::date <= %(to_date)s::date
  AND (i.asset_class IS NULL OR i.asset_class NOT IN ('FX', 'COMBO')) AND NOT coalesce(i.expiry < newest.on_day, false)
  AND NOT EXISTS (
      SELECT FROM ledger_stops s JOIN roots r ON (r.account_id, r.own_id) = (s.account_id, s.instrument_id)
      WHERE s.account_id = d.account_id AND r.instrument_id = d.instrument_id)
  AND NOT EXISTS (
      SELECT FROM order_strategy_map m JOIN orders_norm o USING (order_uid)
      LEFT JOIN LATERAL jsonb_to_recordset(o.legs) AS leg (symbol text) ON o.legs IS NOT NULL
      WHERE m.account_id = d.account_id AND m.evidence ? 'held_before_the_history'
        AND coalesce(leg.symbol, o.symbol) = d.symbol)
  AND NOT EXISTS (
      SELECT FROM (
          SELECT n.symbol FROM ids n JOIN roots r USING (broker, account_id, own_id)
          WHERE (n.broker, n.account_id, r.instrument_id) = (d.broker, d.account_id, d.instrument_id)
          UNION SELECT d.symbol
      ) AS n
      JOIN LATERAL (
          SELECT o.order_uid, coalesce(o.filled_qty, o.qty) * coalesce(leg.ratio, 1) AS qty FROM orders_norm o
          LEFT JOIN LATERAL jsonb_to_recordset(o.legs) AS leg (symbol text, ratio numeric) ON o.legs IS NOT NULL
          WHERE o.account_id = d.account_id AND (o.filled_qty > 0 OR o.status = 'FILLED')
            AND coalesce(leg.symbol, o.symbol) = n.symbol
      ) AS o ON true
      WHERE o.qty <> coalesce((SELECT sum(t.qty) FROM trades_norm t
                               WHERE t.order_uid = o.order_uid AND t.effective AND t.symbol = n.symbol), 0))
  AND NOT EXISTS (
      SELECT FROM (
          SELECT r.account_id, r.business_date, max(coalesce(r.generated_at, r.fetched_at)) AS as_of
          FROM positions_raw_futu r WHERE d.broker = 'FUTU' AND r.account_id = d.account_id
          GROUP BY 1, 2 ORDER BY 2 DESC LIMIT 1
      ) AS told
      WHERE abs(d.actual - coalesce((SELECT sum(p.qty) FROM broker_positions p
                                     WHERE p.broker = 'FUTU' AND p.account_id = told.account_id
                                       AND p.business_date = told.business_date AND p.symbol = d.symbol), 0)
                         - coalesce((SELECT sum(m.qty) FROM position_movements m
                                     WHERE m.account_id = d.account_id AND m.symbol = d.symbol
                                       AND coalesce(m.moved_at, m.ordered_at) > told.as_of), 0)) <= 1e-8)
ORDER BY 3
