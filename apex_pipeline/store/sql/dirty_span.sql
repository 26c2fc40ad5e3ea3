-- The asked days, those that changed, and those of late whose provisional trades wait for a statement. An older one has its
-- break already, and would widen every run for ever.
SELECT least(min(business_date), %(from_date)s) AS from_date, greatest(max(business_date), %(to_date)s) AS to_date
FROM (
    SELECT business_date FROM dirty_days WHERE stage = %(stage)s
    UNION ALL SELECT min(trade_date) FROM trades_norm WHERE source IN ('TWS', 'TCF') AND trade_date > current_date - 10
) AS due
