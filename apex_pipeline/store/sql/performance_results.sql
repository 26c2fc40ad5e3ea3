-- What closings realized after a day, by day and currency: of the account, of each underlying, and of the strategy that
-- the order of the opening trade belongs to with the most contracts.
WITH closed AS (
    SELECT r.account_id, r.closed_on, r.currency, r.realized_pnl, r.open_fees, r.close_fees, r.realized_pnl_base,
           r.base_currency, coalesce(r.underlying, r.symbol) AS underlying, t.order_uid
    FROM unnest(%(accounts)s::text[], %(after)s::date[]) AS due (account_id, after_day)
    JOIN realized_pnl r ON r.account_id = due.account_id AND r.closed_on > due.after_day
    LEFT JOIN trades_norm t ON t.trade_uid = r.open_trade_uid
    WHERE r.closed_on > %(first_day)s
), named AS (
    SELECT DISTINCT ON (m.order_uid) m.order_uid, m.strategy_type
    FROM (SELECT DISTINCT order_uid FROM closed WHERE order_uid IS NOT NULL) AS c
    JOIN order_strategy_map m ON m.order_uid = c.order_uid
    ORDER BY m.order_uid, m.qty_in_strategy DESC, m.strategy_uid
)
SELECT c.account_id, c.closed_on, c.currency, v.scope, v.scope_id,
       CASE WHEN bool_and(c.realized_pnl IS NOT NULL) THEN sum(c.realized_pnl) END AS realized,
       CASE WHEN bool_and(c.realized_pnl IS NOT NULL)
            THEN sum(coalesce(c.open_fees, 0) + coalesce(c.close_fees, 0)) END AS fees,
       CASE WHEN bool_and(c.realized_pnl_base IS NOT NULL) AND min(c.base_currency) = max(c.base_currency)
            THEN sum(c.realized_pnl_base) END AS base_realized,
       min(c.base_currency) AS base
FROM closed c LEFT JOIN named n ON n.order_uid = c.order_uid
CROSS JOIN LATERAL (
    VALUES ('ACCOUNT', ''), ('UNDERLYING', c.underlying), ('STRATEGY', n.strategy_type)
) AS v (scope, scope_id)
WHERE v.scope_id IS NOT NULL
GROUP BY 1, 2, 3, 4, 5
