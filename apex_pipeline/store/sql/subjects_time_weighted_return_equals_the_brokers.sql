SELECT t.broker, t.account_id, t.business_date, count(*) AS subjects
FROM broker_figures t
JOIN performance_metrics p ON p.account_id = t.account_id AND p.period = 'DAY' AND p.scope = 'ACCOUNT'
                          AND p.business_date = t.to_date AND p.daily_return IS NOT NULL
WHERE t.section = 'ChangeInNAV' AND t.figures ? 'twr' AND t.from_date IS NOT NULL
  AND t.business_date BETWEEN %(from_date)s AND %(to_date)s
GROUP BY 1, 2, 3
