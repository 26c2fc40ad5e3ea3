-- The broker's marks of these accounts from a day on (from the first, if none is named), where they differ.
WITH marks AS (
    SELECT business_date, account_id, CASE broker WHEN 'IB' THEN broker_position_id ELSE symbol END AS name,
           max(mark_price) AS mark_price
    FROM broker_positions
    WHERE account_id = ANY (%(accounts)s) AND business_date >= coalesce(%(from_date)s::date, '-infinity')
    GROUP BY 1, 2, 3
), differing AS (
    SELECT p.business_date, p.account_id, p.instrument_id, p.qty, k.mark_price
    FROM positions_daily p
    LEFT JOIN marks k ON k.business_date = p.business_date AND k.account_id = p.account_id
        AND k.name = CASE p.broker WHEN 'IB' THEN p.instrument_id ELSE p.symbol END
    WHERE p.account_id = ANY (%(accounts)s) AND p.business_date >= coalesce(%(from_date)s::date, '-infinity')
      AND p.mark_price IS DISTINCT FROM k.mark_price
), valued AS (
    SELECT d.*, d.qty * d.mark_price * unit.multiplier AS market_value
    FROM differing d
    LEFT JOIN LATERAL (
        SELECT m.multiplier FROM position_movements m
        WHERE m.account_id = d.account_id AND m.instrument_id = d.instrument_id
          AND m.business_date <= d.business_date AND m.multiplier IS NOT NULL
        ORDER BY m.business_date DESC, m.ordered_at DESC, m.place DESC, m.sequence DESC, m.movement_uid DESC
        LIMIT 1) unit ON true
)
UPDATE positions_daily p
SET mark_price = trim_scale(v.mark_price), market_value = trim_scale(v.market_value),
    unrealized_pnl = trim_scale(v.market_value - p.cost_basis)
FROM valued v
WHERE p.business_date = v.business_date AND p.account_id = v.account_id AND p.instrument_id = v.instrument_id
