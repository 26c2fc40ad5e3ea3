-- What the first readable statement of positions of each account says of these instruments; days without one are NULL.
-- An instrument that it does not name was not held.
WITH first_days AS (
    SELECT r.account_id, min(r.business_date) AS business_date
    FROM positions_raw_ib r
    WHERE r.account_id = ANY(%(accounts)s::text[]) AND r.record_key NOT LIKE 'tws:%%'
      AND NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = 'IB' AND q.kind = 'positions' AND q.account_id = r.account_id
                      AND q.business_date = r.business_date AND q.resolved_at IS NULL)
    GROUP BY 1
)
SELECT a.account_id, a.instrument_id, d.business_date, coalesce(sum(p.qty), 0) AS qty, max(p.symbol) AS symbol,
       max(p.underlying) AS underlying, max(p.asset_class) AS asset_class, max(p.currency) AS currency
FROM unnest(%(accounts)s::text[], %(instruments)s::text[]) AS a (account_id, instrument_id)
LEFT JOIN first_days d USING (account_id)
LEFT JOIN broker_positions p ON p.business_date = d.business_date AND p.broker = 'IB' AND p.account_id = a.account_id
                            AND p.broker_position_id = a.instrument_id
GROUP BY 1, 2, 3
