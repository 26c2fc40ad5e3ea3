-- The positions of the instruments in scope at the end of every known day. The cost is known where the open lots are,
-- all of them, and add up to the position. What the broker tells as the cost of a closing of unknown lots is none of it.
-- The name is that of the newest trade; a corporate action may name the instrument by what becomes of it.
CREATE TEMPORARY TABLE IF NOT EXISTS position_days (
    account_id text COLLATE "C", on_date date, known boolean NOT NULL, stored boolean NOT NULL
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS position_scope (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C", from_day date NOT NULL,
    held_uid text COLLATE "C", held_qty numeric, lot_qty numeric, cost numeric, unknown_qty numeric
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS unknown_lots (lot_uid text COLLATE "C" PRIMARY KEY) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS position_steps (
    LIKE position_movements,
    held boolean NOT NULL, n bigint NOT NULL, qty_before numeric NOT NULL, qty_after numeric NOT NULL,
    begins boolean NOT NULL, life bigint, life_before bigint
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS new_positions (LIKE positions_daily) ON COMMIT DROP;
TRUNCATE new_positions;
INSERT INTO new_positions (business_date, broker, account_id, instrument_id, symbol, underlying, asset_class, qty,
                           avg_cost, cost_basis, mark_price, market_value, unrealized_pnl, currency)
WITH lot_changes AS (
    SELECT account_id, instrument_id, from_day AS on_date, lot_qty AS qty, cost, coalesce(unknown_qty, 0) AS unknown_qty
    FROM position_scope WHERE lot_qty IS NOT NULL
    UNION ALL
    SELECT l.account_id, l.instrument_id, l.started_on, l.qty, l.cost_basis,
           CASE WHEN u.lot_uid IS NULL THEN 0 ELSE abs(l.qty) END
    FROM position_scope s JOIN lots l USING (account_id, instrument_id) LEFT JOIN unknown_lots u USING (lot_uid)
    WHERE l.started_on >= s.from_day
    UNION ALL
    SELECT r.account_id, r.instrument_id, r.closed_on, CASE r.direction WHEN 'LONG' THEN -r.qty ELSE r.qty END,
           CASE WHEN u.lot_uid IS NULL THEN -r.cost_basis END, CASE WHEN u.lot_uid IS NULL THEN 0 ELSE -r.qty END
    FROM position_scope s JOIN realized_pnl r USING (account_id, instrument_id) LEFT JOIN unknown_lots u USING (lot_uid)
    WHERE r.closed_on >= s.from_day AND r.closed_on >= %(since)s::date AND r.lot_uid IS NOT NULL
    UNION ALL
    SELECT v.account_id, v.instrument_id, v.moved_on, -v.qty, CASE WHEN u.lot_uid IS NULL THEN -v.cost_basis END,
           CASE WHEN u.lot_uid IS NULL THEN 0 ELSE -abs(v.qty) END
    FROM position_scope s JOIN lot_moves v USING (account_id, instrument_id) LEFT JOIN unknown_lots u USING (lot_uid)
    WHERE v.moved_on >= s.from_day
), by_day AS (
    SELECT account_id, instrument_id, on_date, sum(moved) AS moved, sum(lot_qty) AS lot_qty,
           coalesce(sum(cost), 0) AS cost, sum(unknown_qty) AS unknown_qty,
           max(named) AS named, max(unit) AS unit, max(money) AS money
    FROM (SELECT p.account_id, p.instrument_id, greatest(p.business_date, s.from_day) AS on_date, sum(p.qty) AS moved,
                 0 AS lot_qty, 0 AS cost, 0 AS unknown_qty, max(p.n) AS named,
                 max(p.n) FILTER (WHERE p.multiplier IS NOT NULL) AS unit,
                 max(p.n) FILTER (WHERE p.currency IS NOT NULL) AS money
          FROM position_steps p JOIN position_scope s USING (account_id, instrument_id)
          GROUP BY 1, 2, 3
          UNION ALL
          SELECT account_id, instrument_id, on_date, 0, sum(qty), sum(cost), sum(unknown_qty), NULL, NULL, NULL
          FROM lot_changes GROUP BY 1, 2, 3) AS changes
    GROUP BY 1, 2, 3
), running AS (
    SELECT account_id, instrument_id, on_date, lead(on_date) OVER in_order AS until,
           sum(moved) OVER in_order AS qty, sum(lot_qty) OVER in_order AS lot_qty, sum(cost) OVER in_order AS cost,
           sum(unknown_qty) OVER in_order AS unknown_qty,
           max(named) OVER in_order AS named, max(unit) OVER in_order AS unit, max(money) OVER in_order AS money
    FROM by_day WINDOW in_order AS (PARTITION BY account_id, instrument_id ORDER BY on_date)
), stops AS (
    SELECT account_id, instrument_id, min(business_date) AS stopped_on
    FROM ledger_stops JOIN position_scope USING (account_id, instrument_id) GROUP BY 1, 2
), held AS (
    SELECT r.account_id, r.instrument_id, r.on_date, r.until, r.qty, stops.stopped_on, named.broker,
           coalesce(traded.symbol, named.symbol) AS symbol, named.underlying, named.asset_class, money.currency, unit.multiplier,
           CASE WHEN r.lot_qty = r.qty AND r.unknown_qty = 0 THEN r.cost END AS cost
    FROM running r
    JOIN position_steps named ON named.n = r.named
    LEFT JOIN LATERAL (
        SELECT m.symbol FROM position_movements m
        WHERE named.kind <> 'TRADE' AND m.account_id = r.account_id AND m.instrument_id = r.instrument_id
          AND m.business_date <= r.on_date AND m.kind = 'TRADE'
        ORDER BY m.business_date DESC, m.ordered_at DESC, m.place DESC, m.sequence DESC, m.movement_uid DESC
        LIMIT 1) traded ON true
    LEFT JOIN position_steps unit ON unit.n = r.unit
    LEFT JOIN position_steps money ON money.n = r.money
    LEFT JOIN stops ON stops.account_id = r.account_id AND stops.instrument_id = r.instrument_id
    WHERE r.qty <> 0
), spans AS (
    SELECT account_id, min(on_date) AS first_day, max(on_date) AS last_day FROM position_days WHERE known GROUP BY 1
), costed AS (
    SELECT d.on_date AS business_date, h.broker, h.account_id, h.instrument_id, h.symbol, h.underlying, h.asset_class,
           h.qty, CASE WHEN d.on_date >= h.stopped_on THEN NULL ELSE h.cost END AS cost, h.multiplier, h.currency
    FROM held h
    JOIN spans s ON s.account_id = h.account_id
    CROSS JOIN LATERAL generate_series(0, coalesce(h.until - 1, s.last_day) - greatest(h.on_date, s.first_day)) AS later
    JOIN position_days d
        ON d.account_id = h.account_id AND d.on_date = greatest(h.on_date, s.first_day) + later AND d.known
), marks AS (
    SELECT business_date, account_id, CASE broker WHEN 'IB' THEN broker_position_id ELSE symbol END AS name,
           max(mark_price) AS mark_price
    FROM broker_positions
    WHERE account_id IN (SELECT account_id FROM position_scope)
      AND business_date >= %(since)s::date
    GROUP BY 1, 2, 3
)
SELECT c.business_date, c.broker, c.account_id, c.instrument_id, c.symbol, c.underlying, c.asset_class,
       trim_scale(c.qty), trim_scale(round(round(c.cost, 20) / nullif(c.qty * c.multiplier, 0), 10)),
       trim_scale(c.cost), trim_scale(k.mark_price), trim_scale(c.qty * k.mark_price * c.multiplier),
       trim_scale(c.qty * k.mark_price * c.multiplier - c.cost), c.currency
FROM costed c
LEFT JOIN marks k ON k.business_date = c.business_date AND k.account_id = c.account_id
    AND k.name = CASE c.broker WHEN 'IB' THEN c.instrument_id ELSE c.symbol END;
ANALYZE new_positions;
DELETE FROM positions_daily p USING position_scope s
WHERE p.account_id = s.account_id AND p.instrument_id = s.instrument_id AND p.business_date >= s.from_day
  AND p.business_date >= %(since)s::date
  AND NOT EXISTS (
      SELECT FROM new_positions n WHERE n.business_date = p.business_date AND n.account_id = p.account_id
                                    AND n.instrument_id = p.instrument_id)
