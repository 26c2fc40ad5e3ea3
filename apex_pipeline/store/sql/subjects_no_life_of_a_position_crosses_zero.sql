SELECT broker, account_id, business_date, count(*) AS subjects FROM position_events
WHERE business_date BETWEEN %(from_date)s AND %(to_date)s GROUP BY 1, 2, 3
