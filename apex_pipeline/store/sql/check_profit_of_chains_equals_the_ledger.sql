-- S02. What the chains gained and what belongs to no chain are together what the ledger realized, day by day, and every
-- chain says of itself what its pieces sum to.
WITH pieces AS (
    SELECT r.broker, r.account_id, r.currency, r.closed_on, r.realized_pnl AS realized,
           CASE WHEN g.realized_uid IS NULL THEN r.realized_pnl ELSE g.amount END AS told
    FROM realized_pnl r
    LEFT JOIN (SELECT realized_uid, sum(amount) AS amount FROM chain_gains GROUP BY 1) AS g USING (realized_uid)
    WHERE r.closed_on BETWEEN %(from_date)s AND %(to_date)s
    UNION ALL
    SELECT g.broker, g.account_id, g.currency, g.closed_on, NULL, g.amount
    FROM chain_gains g
    WHERE g.closed_on BETWEEN %(from_date)s AND %(to_date)s
      AND NOT EXISTS (SELECT FROM realized_pnl r WHERE r.realized_uid = g.realized_uid)
), days AS (
    SELECT broker, account_id, currency, closed_on, coalesce(sum(realized), 0) AS expected, coalesce(sum(told), 0) AS actual
    FROM pieces GROUP BY 1, 2, 3, 4
), chains AS (
    SELECT g.broker, g.account_id, g.chain_uid, max(g.closed_on) AS closed_on, coalesce(sum(g.amount), 0) AS expected
    FROM chain_gains g
    WHERE g.chain_uid IN (
        SELECT chain_uid FROM chain_gains WHERE closed_on BETWEEN %(from_date)s AND %(to_date)s
    )
    GROUP BY 1, 2, 3
)
SELECT broker, account_id, concat_ws(' ', 'all chains', account_id, currency) AS subject, closed_on AS business_date, expected,
       actual, currency, 'ERROR' AS severity, NULL AS cause, '{}'::jsonb AS evidence
FROM days WHERE expected <> actual
UNION ALL
SELECT c.broker, c.account_id, c.chain_uid, c.closed_on, c.expected,
       CASE WHEN s.chain_uid IS NOT NULL THEN coalesce(s.realized_pnl, 0) END, s.currency, 'ERROR', NULL,
       jsonb_build_object('underlying', s.underlying, 'current_type', s.current_type)
FROM chains c LEFT JOIN strategy_chains s USING (chain_uid)
WHERE c.closed_on BETWEEN %(from_date)s AND %(to_date)s
  AND (s.chain_uid IS NULL OR coalesce(s.realized_pnl, 0) <> c.expected)
ORDER BY 3, 4
