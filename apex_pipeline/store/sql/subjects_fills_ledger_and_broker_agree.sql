-- The instruments that a broker tells in a snapshot or that the ledger holds on its day.
SELECT broker, account_id, business_date, count(DISTINCT instrument) AS subjects
FROM (SELECT broker, account_id, business_date,
             CASE broker WHEN 'IB' THEN broker_position_id ELSE symbol END AS instrument
      FROM broker_positions
      WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND asset_class NOT IN ('FX', 'COMBO')
      UNION ALL
      SELECT p.broker, p.account_id, p.business_date, CASE p.broker WHEN 'IB' THEN p.instrument_id ELSE p.symbol END
      FROM (SELECT DISTINCT 'FUTU' COLLATE "C" AS broker, account_id, business_date FROM positions_raw_futu
            WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
            UNION
            SELECT 'IB', account_id, business_date FROM positions_raw_ib
            WHERE business_date BETWEEN %(from_date)s AND %(to_date)s) AS s
      JOIN positions_daily p USING (business_date, account_id, broker)) AS sides
WHERE NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = sides.broker AND q.kind = 'positions'
                  AND q.account_id = sides.account_id
                  AND q.business_date = sides.business_date AND q.resolved_at IS NULL)
GROUP BY 1, 2, 3
