SELECT business_date, count(*) AS subjects FROM position_movements
WHERE business_date BETWEEN %(from_date)s AND %(to_date)s GROUP BY 1
