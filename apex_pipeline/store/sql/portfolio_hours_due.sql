-- Accounts with a value of some day and none of this hour yet.
SELECT DISTINCT d.account_id FROM performance_metrics d
WHERE d.period = 'DAY' AND NOT EXISTS (
    SELECT FROM performance_metrics h WHERE h.account_id = d.account_id AND h.period = 'HOUR' AND h.as_of = %(hour)s)
ORDER BY 1
