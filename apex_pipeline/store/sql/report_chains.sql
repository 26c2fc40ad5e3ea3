-- Chains that were rolled, adjusted or ended otherwise than by an order, the newest first: one row each.
SELECT underlying, account_id, first_type, current_type, status, opened_on, ended_at, rolls, adjustments,
       jsonb_array_length(events) AS steps, net_premium, fees, realized_pnl, stock_pnl, pieces_unknown AS basis_unknown, currency,
       chain_uid
FROM strategy_chains WHERE rolls > 0 OR adjustments > 0 OR status IN ('ASSIGNED', 'EXERCISED')
ORDER BY opened_on DESC, opened_at DESC NULLS LAST, chain_uid
LIMIT %(most)s
