-- Closings of which both sides know every lot.
WITH told AS (
    SELECT account_id, coalesce(instrument_id, symbol) AS instrument, date_trunc('second', closed_at) AS closed_at,
           min(business_date) AS business_date
    FROM broker_closed_lots
    WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND broker = 'IB' AND asset_class NOT IN ('FX', 'COMBO')
      AND closed_at IS NOT NULL
    GROUP BY 1, 2, 3 HAVING bool_and(opened_at IS NOT NULL AND cost_basis IS NOT NULL)
), ours AS (
    SELECT account_id, instrument_id AS instrument, date_trunc('second', closed_at) AS closed_at
    FROM realized_pnl
    WHERE closed_on BETWEEN %(from_date)s::date - 10 AND %(to_date)s::date + 10 AND broker = 'IB'
      AND closed_at IS NOT NULL
    GROUP BY 1, 2, 3
    HAVING bool_and(lot_uid IS NOT NULL AND opened_at IS NOT NULL AND cost_basis IS NOT NULL AND method <> 'AVERAGE'
                    AND basis_source IN ('TRADES', 'BROKER_LOT', 'BROKER_CLOSED_LOT', 'PERSON'))
)
SELECT 'IB' AS broker, t.account_id, t.business_date, count(*) AS subjects
FROM told t JOIN ours USING (account_id, instrument, closed_at)
WHERE NOT EXISTS (SELECT FROM ledger_stops s WHERE s.account_id = t.account_id AND s.instrument_id = t.instrument
                  AND s.business_date <= t.business_date)
GROUP BY 1, 2, 3
