-- What the report is about: how much was loaded, and from when to when.
SELECT (SELECT count(*) FROM orders_norm) AS orders, (SELECT count(*) FROM trades_norm WHERE effective) AS trades,
       (SELECT count(DISTINCT (broker, account_id)) FROM load_coverage) AS accounts,
       (SELECT min(from_date) FROM load_coverage) AS from_date, (SELECT max(to_date) FROM load_coverage) AS to_date,
       (SELECT count(DISTINCT business_date) FROM performance_metrics WHERE scope = 'ACCOUNT' AND period = 'DAY') AS valued_days,
       (SELECT max(covered_at) FROM load_coverage) AS loaded_at
