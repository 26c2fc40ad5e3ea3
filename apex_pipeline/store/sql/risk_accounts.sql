-- The newest day of each account of which it is known what the account is worth; not after today, where the broker is.
SELECT p.broker, p.account_id, p.business_date, p.as_of, p.currency, p.net_liquidation, p.cash, p.drawdown
FROM (SELECT DISTINCT account_id FROM performance_metrics WHERE period = 'DAY' AND scope = 'ACCOUNT') AS a
CROSS JOIN LATERAL (
    SELECT * FROM performance_metrics d
    WHERE d.account_id = a.account_id AND d.period = 'DAY' AND d.scope = 'ACCOUNT' AND d.net_liquidation IS NOT NULL
      AND d.business_date <= (%(now)s::timestamptz AT TIME ZONE
                              CASE d.broker WHEN 'IB' THEN 'America/New_York' ELSE 'Asia/Hong_Kong' END)::date
    ORDER BY d.as_of DESC LIMIT 1
) AS p
ORDER BY p.account_id
