-- Positions of which Futu tells two costs apart, and the others of a snapshot with at least two of these, where we hold as
-- much by known trades and deliveries alone.
WITH rows AS (
    SELECT r.account_id, r.business_date, row ->> 'positionID' AS position_id,
           CASE jsonb_typeof(row -> 'averageCostPrice')
               WHEN 'number' THEN (row ->> 'averageCostPrice')::numeric END AS average,
           CASE jsonb_typeof(row -> 'dilutedCostPrice')
               WHEN 'number' THEN (row ->> 'dilutedCostPrice')::numeric END AS diluted
    FROM positions_raw_futu r CROSS JOIN jsonb_array_elements(r.payload -> 'rows') AS row
    WHERE r.business_date BETWEEN %(from_date)s AND %(to_date)s AND jsonb_typeof(r.payload -> 'rows') = 'array'
), told AS (
    SELECT p.account_id, p.business_date, i.futu_code AS instrument, sum(p.qty) AS qty,
           bool_or(r.average <> r.diluted) AS is_apart,
           sum(bool_or(r.average <> r.diluted)::int) OVER (PARTITION BY p.account_id, p.business_date) AS apart
    FROM (SELECT DISTINCT account_id, business_date FROM rows) AS s
    JOIN broker_positions p ON p.broker = 'FUTU' AND p.account_id = s.account_id AND p.business_date = s.business_date
    JOIN instruments i ON i.symbol = p.symbol
    LEFT JOIN rows r ON r.account_id = p.account_id AND r.business_date = p.business_date
                    AND r.position_id = p.broker_position_id
    WHERE p.asset_class IN ('STOCK', 'OPTION', 'WARRANT', 'FUND')
    GROUP BY 1, 2, 3 HAVING bool_and(r.average IS NOT NULL AND r.diluted IS NOT NULL)
)
SELECT 'FUTU' AS broker, t.account_id, t.business_date, count(*) AS subjects
FROM told t
JOIN positions_daily d ON d.business_date = t.business_date AND d.account_id = t.account_id
                      AND d.instrument_id = t.instrument AND d.qty = t.qty
WHERE (t.is_apart OR t.apart >= 2)
  AND NOT EXISTS (SELECT FROM lots l WHERE l.account_id = t.account_id AND l.instrument_id = t.instrument
                  AND (l.closed_on IS NULL OR l.closed_on > t.business_date) AND l.started_on <= t.business_date
                  AND (l.origin NOT IN ('TRADE', 'EXERCISE', 'ASSIGNMENT') OR l.basis_source <> 'TRADES'
                       OR l.open_price IS NULL))
  AND NOT EXISTS (SELECT FROM lot_moves m WHERE m.account_id = t.account_id AND m.instrument_id = t.instrument)
  AND NOT EXISTS (SELECT FROM ledger_stops s WHERE s.account_id = t.account_id AND s.instrument_id = t.instrument)
GROUP BY 1, 2, 3
