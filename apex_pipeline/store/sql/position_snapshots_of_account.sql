-- Every snapshot of positions with what it holds of options; an empty one is a row without a symbol. A snapshot of
-- which a row could not be read tells nothing about what is not in it.
SELECT coalesce(r.generated_at, r.fetched_at) AS as_of, p.symbol, p.qty
FROM raw_records r
LEFT JOIN broker_positions p ON p.broker = r.broker AND p.account_id = r.account_id
    AND p.business_date = r.business_date AND p.asset_class = 'OPTION'
WHERE r.broker = %(broker)s AND r.account_id = %(account_id)s AND r.kind = 'positions'
  AND NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = r.broker AND q.account_id = r.account_id
                  AND q.kind = 'positions' AND q.business_date = r.business_date AND q.resolved_at IS NULL)
ORDER BY 1, 2
