-- Days that became known carry the positions of the day before them on; days that are not known any more go. A position
-- is carried up to its next movement: what moved is written from there by who knows the movement.
CREATE TEMPORARY TABLE IF NOT EXISTS position_days (
    account_id text COLLATE "C", on_date date, known boolean NOT NULL, stored boolean NOT NULL
) ON COMMIT DROP;
WITH gone AS (
    DELETE FROM positions_daily p USING position_days d
    WHERE p.account_id = d.account_id AND p.business_date = d.on_date AND d.stored AND NOT d.known
    RETURNING 1
), gaps AS (
    SELECT account_id, on_date, source FROM (
        SELECT account_id, on_date, known, stored,
               max(on_date) FILTER (WHERE stored) OVER (PARTITION BY account_id ORDER BY on_date) AS source
        FROM position_days) AS looked
    WHERE known AND NOT stored AND source IS NOT NULL
), held AS (
    SELECT p.*, next.moved_on, unit.multiplier
    FROM (SELECT DISTINCT account_id, source FROM gaps) s
    JOIN positions_daily p ON p.business_date = s.source AND p.account_id = s.account_id
    CROSS JOIN LATERAL (
        SELECT min(m.business_date) AS moved_on FROM position_movements m
        WHERE m.account_id = p.account_id AND m.instrument_id = p.instrument_id
          AND m.business_date > p.business_date) next
    LEFT JOIN LATERAL (
        SELECT m.multiplier FROM position_movements m
        WHERE m.account_id = p.account_id AND m.instrument_id = p.instrument_id
          AND m.business_date <= p.business_date AND m.multiplier IS NOT NULL
        ORDER BY m.business_date DESC, m.ordered_at DESC, m.place DESC, m.sequence DESC, m.movement_uid DESC
        LIMIT 1) unit ON true
), marks AS (
    SELECT business_date, account_id, CASE broker WHEN 'IB' THEN broker_position_id ELSE symbol END AS name,
           max(mark_price) AS mark_price
    FROM broker_positions WHERE (account_id, business_date) IN (SELECT account_id, on_date FROM gaps)
    GROUP BY 1, 2, 3
), added AS (
    INSERT INTO positions_daily (business_date, broker, account_id, instrument_id, symbol, underlying, asset_class, qty,
                                 avg_cost, cost_basis, mark_price, market_value, unrealized_pnl, currency)
    SELECT g.on_date, h.broker, h.account_id, h.instrument_id, h.symbol, h.underlying, h.asset_class, h.qty,
           h.avg_cost, h.cost_basis, trim_scale(k.mark_price), trim_scale(h.qty * k.mark_price * h.multiplier),
           trim_scale(h.qty * k.mark_price * h.multiplier - h.cost_basis), h.currency
    FROM gaps g
    JOIN held h ON h.account_id = g.account_id AND h.business_date = g.source
    LEFT JOIN marks k ON k.business_date = g.on_date AND k.account_id = h.account_id
        AND k.name = CASE h.broker WHEN 'IB' THEN h.instrument_id ELSE h.symbol END
    WHERE h.moved_on IS NULL OR g.on_date < h.moved_on
    RETURNING 1
)
SELECT (SELECT count(*) FROM added) AS inserted, (SELECT count(*) FROM gone) AS deleted
