-- What each account was worth, one row per account and day, week or month: the last value that is known of it, the worst
-- drawdown in it, and how many of its days have no known value.
SELECT currency, broker, account_id, max(max(business_date)) OVER (PARTITION BY date_trunc(%(step)s::text, business_date)) AS day,
       (array_agg(net_liquidation ORDER BY business_date DESC) FILTER (WHERE net_liquidation IS NOT NULL))[1] AS net_liquidation,
       max(drawdown) AS drawdown,
       (array_agg(cumulative_return ORDER BY business_date DESC) FILTER (WHERE cumulative_return IS NOT NULL))[1] AS cumulative_return,
       count(*) AS days, count(*) FILTER (WHERE net_liquidation IS NULL) AS days_unknown
FROM performance_metrics
WHERE scope = 'ACCOUNT' AND period = 'DAY'
GROUP BY currency, broker, account_id, date_trunc(%(step)s::text, business_date)
ORDER BY currency NULLS LAST, day, broker, account_id
