-- The instruments of these accounts whose openings depend on more than their lot data: those of which the first readable
-- statement of positions tells another quantity than all that moved until then, and those of corporate actions that leave
-- the cost as it is.
WITH first_days AS (
    SELECT r.account_id, min(r.business_date) AS business_date
    FROM positions_raw_ib r
    WHERE r.account_id = ANY(%(accounts)s::text[]) AND r.record_key NOT LIKE 'tws:%%'
      AND NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = 'IB' AND q.kind = 'positions' AND q.account_id = r.account_id
                      AND q.business_date = r.business_date AND q.resolved_at IS NULL)
    GROUP BY 1
), parts AS (
    SELECT d.account_id, p.broker_position_id AS instrument_id, p.qty
    FROM first_days d JOIN broker_positions p USING (business_date, account_id)
    WHERE p.broker = 'IB' AND p.asset_class NOT IN ('FX', 'COMBO')
    UNION ALL
    SELECT d.account_id, coalesce(t.instrument_id, t.symbol), CASE t.side WHEN 'BUY' THEN -t.qty ELSE t.qty END
    FROM first_days d JOIN trades_norm t ON t.account_id = d.account_id AND t.trade_date <= d.business_date
    WHERE t.broker = 'IB' AND t.effective AND t.asset_class NOT IN ('FX', 'COMBO')
      AND coalesce(t.report_date, t.trade_date) <= d.business_date
    UNION ALL
    SELECT d.account_id, coalesce(c.instrument_id, c.symbol), -c.qty
    FROM first_days d JOIN corporate_actions c ON c.account_id = d.account_id AND c.business_date <= d.business_date
    WHERE c.broker = 'IB' AND c.asset_class NOT IN ('FX', 'COMBO')
    UNION ALL
    SELECT d.account_id, coalesce(m.instrument_id, m.symbol), -m.qty
    FROM first_days d JOIN transfers m ON m.account_id = d.account_id AND m.business_date <= d.business_date
    WHERE m.broker = 'IB' AND m.symbol IS NOT NULL AND m.asset_class NOT IN ('FX', 'COMBO')
    UNION ALL
    SELECT d.account_id, o.instrument_id, -o.qty
    FROM first_days d JOIN opening_balances o ON o.account_id = d.account_id AND o.opened_on <= d.business_date
    WHERE o.broker = 'IB' AND o.source = 'PERSON'
)
SELECT account_id, instrument_id FROM parts GROUP BY 1, 2 HAVING abs(sum(qty)) > 1e-8
UNION
SELECT account_id, coalesce(instrument_id, symbol) FROM corporate_actions
WHERE broker = 'IB' AND account_id = ANY(%(accounts)s::text[]) AND kind IN ('SPLIT', 'SYMBOL_CHANGE') AND qty IS NOT NULL
ORDER BY 1, 2
