-- Closed round trips of the ledger: all up to a day together (closed_on NULL), and those after it by day; of the account,
-- of each underlying, and of each strategy.
WITH named AS (
    SELECT DISTINCT ON (strategy_uid) strategy_uid, strategy_type FROM order_strategy_map
    WHERE account_id = ANY (%(accounts)s::text[]) ORDER BY strategy_uid, strategy_type
)
SELECT r.account_id, CASE WHEN r.exit_date > due.after_day THEN r.exit_date END AS closed_on, v.scope, v.scope_id,
       count(*) FILTER (WHERE r.realized_pnl > 0) AS won, count(r.realized_pnl) AS known, count(*) AS every
FROM unnest(%(accounts)s::text[], %(after)s::date[]) AS due (account_id, after_day)
JOIN round_trips r ON r.account_id = due.account_id
LEFT JOIN named n ON n.strategy_uid = r.strategy_uid
CROSS JOIN LATERAL (
    VALUES ('ACCOUNT', ''), ('UNDERLYING', coalesce(r.underlying, r.symbol)), ('STRATEGY', n.strategy_type)
) AS v (scope, scope_id)
WHERE r.source = 'LEDGER' AND r.status = 'CLOSED' AND r.exit_date IS NOT NULL AND v.scope_id IS NOT NULL
GROUP BY 1, 2, 3, 4
