-- What every movement of the instruments in scope did to its position.
CREATE TEMPORARY TABLE IF NOT EXISTS position_scope (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C", from_day date NOT NULL,
    held_uid text COLLATE "C", held_qty numeric, lot_qty numeric, cost numeric, unknown_qty numeric
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS position_steps (
    LIKE position_movements,
    held boolean NOT NULL, n bigint NOT NULL, qty_before numeric NOT NULL, qty_after numeric NOT NULL,
    begins boolean NOT NULL, life bigint, life_before bigint
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS new_events (LIKE position_events) ON COMMIT DROP;
TRUNCATE new_events;
DROP TABLE IF EXISTS closings;
CREATE TEMPORARY TABLE closings ON COMMIT DROP AS
SELECT r.close_trade_uid, CASE WHEN count(*) = count(r.realized_pnl) THEN sum(r.realized_pnl) END AS realized_pnl,
       CASE WHEN count(*) = count(r.close_price)
            THEN round(round(sum(r.close_price * r.qty), 20) / sum(r.qty), 10) END AS price
FROM position_scope s JOIN realized_pnl r USING (account_id, instrument_id)
WHERE r.closed_on >= s.from_day AND r.closed_on >= %(since)s::date
GROUP BY 1;
ANALYZE closings (close_trade_uid);
INSERT INTO new_events (event_uid, position_uid, broker, account_id, instrument_id, symbol, event, at, business_date,
                        qty, price, position_qty, realized_pnl, currency, holding_days, trade_uid)
WITH lives AS (
    SELECT p.n, coalesce(s.held_uid, p.account_id || '_' || p.movement_uid) AS position_uid,
           CASE WHEN p.held THEN (
               SELECT m.business_date FROM position_movements m
               WHERE m.movement_uid = substr(s.held_uid, length(s.account_id) + 2)) ELSE p.business_date END AS opened_on
    FROM position_steps p
    LEFT JOIN position_scope s ON p.held AND s.account_id = p.account_id AND s.instrument_id = p.instrument_id
    WHERE p.begins
), stops AS (
    SELECT account_id, instrument_id, min(business_date) AS stopped_on
    FROM ledger_stops JOIN position_scope USING (account_id, instrument_id) GROUP BY 1, 2
), moved AS (
    SELECT p.*, sign(p.qty_before) * sign(p.qty_after) < 0 AS flips,
           p.asset_class IN ('OPTION', 'FUTURE_OPTION', 'WARRANT') AS ends
    FROM position_steps p WHERE NOT p.held AND p.qty <> 0
), parts AS (
    SELECT m.*, '' AS suffix, CASE m.qty_before WHEN 0 THEN m.life ELSE m.life_before END AS belongs_to,
           CASE WHEN m.flips THEN abs(m.qty_before) ELSE abs(m.qty) END AS part_qty,
           CASE WHEN m.flips THEN 0 ELSE m.qty_after END AS position_qty,
           CASE WHEN m.qty_before = 0 THEN 'OPENED'
                WHEN sign(m.qty_before) = sign(m.qty) THEN 'INCREASED'
                WHEN m.ends AND m.kind = 'EXPIRATION' THEN 'EXPIRED'
                WHEN m.ends AND m.kind = 'ASSIGNMENT' THEN 'ASSIGNED'
                WHEN m.ends AND m.kind = 'EXERCISE' THEN 'EXERCISED'
                WHEN m.qty_after = 0 THEN 'CLOSED'
                WHEN m.flips THEN 'FLIPPED'
                ELSE 'REDUCED' END AS event
    FROM moved m
    UNION ALL
    SELECT m.*, ':OPENED', m.life, abs(m.qty_after), m.qty_after, 'OPENED' FROM moved m WHERE m.flips
)
SELECT p.movement_uid || p.suffix, l.position_uid, p.broker, p.account_id, p.instrument_id, p.symbol, p.event,
       p.moved_at, p.business_date, trim_scale(p.part_qty),
       trim_scale(CASE WHEN p.kind = 'CORPORATE_ACTION' AND p.suffix = '' THEN coalesce(p.price, c.price)
                       ELSE p.price END),
       trim_scale(p.position_qty),
       trim_scale(CASE WHEN p.suffix <> '' THEN NULL
            WHEN c.close_trade_uid IS NOT NULL THEN c.realized_pnl
            -- Lots that only moved gained nothing; of those that are not known nobody knows.
            WHEN p.event IN ('REDUCED', 'CLOSED', 'FLIPPED') AND (stops.stopped_on <= p.business_date) IS NOT TRUE
                 AND (p.kind = 'TRANSFER' OR p.kind = 'CORPORATE_ACTION' AND p.action IN ('SPLIT', 'SYMBOL_CHANGE'))
            THEN 0 END),
       p.currency, p.business_date - l.opened_on,
       CASE WHEN p.kind NOT IN ('CORPORATE_ACTION', 'TRANSFER', 'OPENING') THEN p.movement_uid END
FROM parts p
JOIN lives l ON l.n = p.belongs_to
LEFT JOIN closings c ON c.close_trade_uid = p.movement_uid AND p.suffix = ''
LEFT JOIN stops ON stops.account_id = p.account_id AND stops.instrument_id = p.instrument_id;
ANALYZE new_events;
DELETE FROM position_events e USING position_scope s
WHERE e.account_id = s.account_id AND e.instrument_id = s.instrument_id AND e.business_date >= s.from_day
  AND e.business_date >= %(since)s::date
  AND NOT EXISTS (SELECT FROM new_events n WHERE n.event_uid = e.event_uid)
