SELECT 'IB' AS broker, account_id, business_date, count(*) AS subjects
FROM (SELECT account_id, business_date, coalesce(instrument_id, symbol), opened_at FROM broker_lots
      WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND broker = 'IB' AND asset_class NOT IN ('FX', 'COMBO')
      GROUP BY 1, 2, 3, 4) AS told
WHERE NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = 'IB' AND q.kind = 'positions'
                  AND q.account_id = told.account_id
                  AND q.business_date = told.business_date AND q.resolved_at IS NULL)
GROUP BY 1, 2, 3
