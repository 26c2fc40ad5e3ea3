SELECT least(min(business_date), %(from_date)s) AS from_date, greatest(max(business_date), %(to_date)s) AS to_date
FROM dirty_days WHERE stage = %(stage)s
