SELECT upper(substring(table_name FROM '[a-z]+$')) AS broker, account_id, business_date, sum(rows) AS subjects
FROM seals JOIN sealed_tables USING (table_name)
WHERE is_raw AND rows > 0 AND business_date BETWEEN %(from_date)s AND %(to_date)s
GROUP BY 1, 2, 3
