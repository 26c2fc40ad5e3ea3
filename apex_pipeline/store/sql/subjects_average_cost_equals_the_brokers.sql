-- The positions of which a broker told an average cost, of the quantity that is ours too, where our basis is known.
SELECT broker, account_id, business_date, count(*) AS subjects
FROM (SELECT broker, account_id, business_date, instrument
      FROM (SELECT broker, account_id, business_date,
                   CASE broker WHEN 'IB' THEN broker_position_id ELSE symbol END AS instrument,
                   qty, true AS is_told, average_cost IS NOT NULL AS is_known
            FROM broker_positions
            WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND asset_class NOT IN ('FX', 'COMBO', 'BOND')
              AND source <> 'TWS'
            UNION ALL
            SELECT broker, account_id, business_date, CASE broker WHEN 'IB' THEN instrument_id ELSE symbol END, -qty,
                   false,
                   avg_cost IS NOT NULL
            FROM positions_daily WHERE business_date BETWEEN %(from_date)s AND %(to_date)s) AS sides
      GROUP BY 1, 2, 3, 4
      HAVING bool_or(is_told) AND NOT bool_and(is_told) AND bool_and(is_known) AND abs(sum(qty)) <= 1e-8) AS compared
WHERE NOT EXISTS (SELECT FROM quarantine q
                  WHERE q.broker = compared.broker AND q.kind = 'positions' AND q.account_id = compared.account_id
                  AND q.business_date = compared.business_date AND q.resolved_at IS NULL)
GROUP BY 1, 2, 3
