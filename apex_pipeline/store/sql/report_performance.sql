-- Month by month: value at its end, what was realized and paid, and the return of the days that have one.
SELECT broker, account_id, to_char(business_date, 'YYYY-MM') AS month, currency,
       (array_agg(net_liquidation ORDER BY business_date DESC) FILTER (WHERE net_liquidation IS NOT NULL))[1] AS net_liquidation,
       sum(realized_pnl) AS realized_pnl, sum(fees) AS fees,
       (array_agg(cumulative_return ORDER BY business_date DESC) FILTER (WHERE cumulative_return IS NOT NULL))[1] AS cumulative_return,
       max(drawdown) AS drawdown
FROM performance_metrics WHERE scope = 'ACCOUNT' AND period = 'DAY'
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
