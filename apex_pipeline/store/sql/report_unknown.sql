-- How often the numbers do not know something. Every row is a fact about the book; those of zero are left out.
SELECT what, rows, first_day, last_day FROM (
    SELECT 'basis_unknown' AS what, count(*) AS rows, min(closed_on) AS first_day, max(closed_on) AS last_day
    FROM realized_pnl WHERE realized_pnl IS NULL
    UNION ALL
    SELECT 'opening_without_basis', count(*), min(opened_on), max(opened_on) FROM opening_balances WHERE cost_basis IS NULL
    UNION ALL
    SELECT 'ledger_stopped', count(*), min(business_date), max(business_date) FROM ledger_stops
    UNION ALL
    SELECT 'value_unknown', count(*), min(business_date), max(business_date) FROM performance_metrics
    WHERE scope = 'ACCOUNT' AND period = 'DAY' AND net_liquidation IS NULL
    UNION ALL
    SELECT 'currency_unknown', count(*), min(business_date), max(business_date) FROM performance_metrics
    WHERE scope = 'ACCOUNT' AND period = 'DAY' AND currency IS NULL
    UNION ALL
    SELECT 'cash_unknown', count(*), min(as_of), max(as_of) FROM cash_account_state WHERE total_cash IS NULL
    UNION ALL
    SELECT 'fee_missing', count(*), min(trade_date), max(trade_date) FROM orders_norm o
    WHERE o.broker = 'FUTU' AND o.filled_qty > 0 AND NOT EXISTS (SELECT FROM fees_norm f WHERE f.order_uid = o.order_uid)
    UNION ALL
    SELECT 'provisional', count(*), min(trade_date), max(trade_date) FROM trades_norm WHERE effective AND source IN ('TWS', 'TCF')
    UNION ALL
    SELECT 'quarantined', count(*), min(business_date), max(business_date) FROM quarantine WHERE resolved_at IS NULL
    UNION ALL
    SELECT 'accepted', count(*), min(business_date), max(business_date) FROM recon_breaks WHERE state = 'ACCEPTED'
) AS facts WHERE rows > 0
