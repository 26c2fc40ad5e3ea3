SELECT 'IB' AS broker, account_id, business_date, count(*) AS subjects FROM sections_raw_ib
WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND payload ->> '_section' = '_query' GROUP BY 1, 2, 3
