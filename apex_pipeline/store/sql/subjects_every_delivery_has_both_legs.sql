SELECT broker, account_id, business_date, count(*) AS subjects FROM position_movements
WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND kind IN ('EXERCISE', 'ASSIGNMENT') AND asset_class = 'OPTION'
GROUP BY 1, 2, 3
