-- A snapshot of nothing is compared too: with what we hold.
SELECT s.broker, s.account_id, s.business_date, count(*) AS subjects
FROM (SELECT DISTINCT 'FUTU' AS broker, account_id, business_date FROM positions_raw_futu
      WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
      UNION
      SELECT 'IB', account_id, business_date FROM positions_raw_ib
      WHERE business_date BETWEEN %(from_date)s AND %(to_date)s) AS s
LEFT JOIN broker_positions p ON p.business_date = s.business_date AND p.broker = s.broker
    AND p.account_id = s.account_id
                            AND p.asset_class NOT IN ('FX', 'COMBO')
WHERE NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = s.broker AND q.kind = 'positions'
                  AND q.account_id = s.account_id
                  AND q.business_date = s.business_date AND q.resolved_at IS NULL)
GROUP BY 1, 2, 3
