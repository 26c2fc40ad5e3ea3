-- One row per life of a position that the instruments in scope have, from all of its events. Shares that a split gave or
-- took change the opened quantity at no cost, so that quantity x (exit - entry) stays the gain before fees.
CREATE TEMPORARY TABLE IF NOT EXISTS position_scope (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C", from_day date NOT NULL,
    held_uid text COLLATE "C", held_qty numeric, lot_qty numeric, cost numeric, unknown_qty numeric
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS new_events (LIKE position_events) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS new_trips (LIKE round_trips) ON COMMIT DROP;
TRUNCATE new_trips;
INSERT INTO new_trips (trade_id, broker, account_id, instrument_id, symbol, underlying, asset_class, side, quantity,
                       entry_price, exit_price, entry_at, exit_at, entry_date, exit_date, realized_pnl, fees, currency,
                       status, strategy_uid, source)
WITH due AS (
    SELECT position_uid FROM new_events UNION SELECT held_uid FROM position_scope WHERE held_uid IS NOT NULL
), told AS (
    SELECT e.*, m.underlying, m.asset_class, m.kind, m.action, m.fees AS movement_fees, abs(m.qty) AS movement_qty,
           e.event IN ('OPENED', 'INCREASED') AS opens, m.kind = 'CORPORATE_ACTION' AND m.action = 'SPLIT' AS splits
    FROM due
    JOIN position_events e USING (position_uid)
    JOIN position_movements m
        ON m.movement_uid = CASE right(e.event_uid, 7) WHEN ':OPENED' THEN left(e.event_uid, -7) ELSE e.event_uid END
), priced AS (
    SELECT t.*,
           -- What came by another way than a trade costs what its lots cost, unless they were here before.
           CASE WHEN t.price IS NOT NULL OR NOT t.opens OR t.splits THEN t.price
                ELSE (SELECT round(round(sum(l.qty * l.open_price), 20) / sum(l.qty), 10)
                      FROM lots l
                      WHERE l.account_id = t.account_id AND l.instrument_id = t.instrument_id
                        AND l.started_on = t.business_date
                        AND (l.lot_uid = t.event_uid OR right(l.lot_uid, length(t.event_uid) + 1) = '>' || t.event_uid)
                        AND NOT EXISTS (SELECT FROM lot_moves v WHERE v.to_lot_uid = l.lot_uid
                                          AND v.account_id = l.account_id AND v.instrument_id = l.instrument_id)
                      HAVING count(*) = count(l.open_price)) END AS unit_price,
           CASE WHEN t.qty = t.movement_qty OR t.kind = 'CORPORATE_ACTION' THEN t.movement_fees
                WHEN right(t.event_uid, 7) = ':OPENED' THEN
                    t.movement_fees - round(round(t.movement_fees * (t.movement_qty - t.qty), 20) / t.movement_qty, 10)
                ELSE round(round(t.movement_fees * t.qty, 20) / t.movement_qty, 10) END AS part_fees
    FROM told t
), summed AS (
    SELECT position_uid, max(broker) AS broker, max(account_id) AS account_id, max(instrument_id) AS instrument_id,
           max(symbol) FILTER (WHERE event = 'OPENED') AS symbol,
           max(underlying) FILTER (WHERE event = 'OPENED') AS underlying,
           max(asset_class) FILTER (WHERE event = 'OPENED') AS asset_class,
           max(currency) FILTER (WHERE event = 'OPENED') AS currency,
           max(trade_uid) FILTER (WHERE event = 'OPENED') AS trade_uid,
           max(position_qty) FILTER (WHERE event = 'OPENED') AS opened_qty,
           max(at) FILTER (WHERE event = 'OPENED') AS entry_at,
           max(business_date) FILTER (WHERE event = 'OPENED') AS entry_date,
           sum(CASE WHEN opens THEN qty WHEN splits THEN -qty ELSE 0 END) AS quantity,
           sum(qty * unit_price) FILTER (WHERE opens AND NOT splits) AS entry_value,
           bool_or(opens AND NOT splits AND unit_price IS NULL) AS entry_unknown,
           sum(qty * price) FILTER (WHERE NOT opens AND price IS NOT NULL) AS exit_value,
           sum(qty) FILTER (WHERE NOT opens AND price IS NOT NULL) AS exit_qty,
           bool_or(NOT opens AND NOT splits AND price IS NULL AND kind <> 'TRANSFER'
                   AND (kind <> 'CORPORATE_ACTION' OR action IS DISTINCT FROM 'SYMBOL_CHANGE')) AS exit_unknown,
           sum(realized_pnl) AS realized_pnl, bool_or(NOT opens AND realized_pnl IS NULL) AS realized_unknown,
           sum(part_fees) AS fees, bool_or(position_qty = 0) AS closed,
           max(at) FILTER (WHERE position_qty = 0) AS exit_at,
           max(business_date) FILTER (WHERE position_qty = 0) AS exit_date
    FROM priced GROUP BY 1
)
SELECT s.position_uid, s.broker, s.account_id, s.instrument_id, s.symbol, s.underlying, s.asset_class,
       CASE WHEN s.opened_qty > 0 THEN 'BUY' ELSE 'SELL' END, trim_scale(s.quantity),
       CASE WHEN NOT s.entry_unknown THEN trim_scale(round(round(s.entry_value, 20) / nullif(s.quantity, 0), 10)) END,
       CASE WHEN NOT s.exit_unknown THEN trim_scale(round(round(s.exit_value, 20) / s.exit_qty, 10)) END,
       s.entry_at, s.exit_at, s.entry_date, s.exit_date,
       CASE WHEN NOT s.realized_unknown THEN trim_scale(coalesce(s.realized_pnl, 0)) END, trim_scale(s.fees),
       s.currency, CASE WHEN s.closed THEN 'CLOSED' ELSE 'OPEN' END,
       (SELECT o.strategy_uid FROM trades_norm t JOIN order_strategy_map o USING (order_uid)
        WHERE t.trade_uid = s.trade_uid ORDER BY o.qty_in_strategy DESC, o.strategy_uid LIMIT 1), 'LEDGER'
FROM summed s;
-- An engine that took the name of a life keeps it.
DELETE FROM new_trips n USING round_trips r WHERE r.trade_id = n.trade_id AND r.source <> 'LEDGER';
ANALYZE new_trips;
DELETE FROM round_trips r USING position_scope s
WHERE r.account_id = s.account_id AND r.instrument_id = s.instrument_id AND r.source = 'LEDGER'
  AND r.entry_date >= s.from_day
  AND NOT EXISTS (SELECT FROM new_trips n WHERE n.trade_id = r.trade_id)
