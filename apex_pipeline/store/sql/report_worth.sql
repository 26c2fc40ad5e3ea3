-- The newest known value of every account, and the newest day on which there should be one.
SELECT broker, account_id, currency, min(business_date) AS from_date,
       (array_agg(net_liquidation ORDER BY business_date DESC) FILTER (WHERE net_liquidation IS NOT NULL))[1] AS net_liquidation,
       max(business_date) FILTER (WHERE net_liquidation IS NOT NULL) AS known_on,
       (array_agg(cumulative_return ORDER BY business_date DESC) FILTER (WHERE cumulative_return IS NOT NULL))[1] AS cumulative_return,
       max(drawdown) AS worst_drawdown, max(business_date) AS newest_day, count(*) AS days,
       count(*) FILTER (WHERE net_liquidation IS NULL) AS days_unknown
FROM performance_metrics WHERE scope = 'ACCOUNT' AND period = 'DAY'
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
