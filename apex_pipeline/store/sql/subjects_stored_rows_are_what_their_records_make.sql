SELECT coalesce(min(k.broker), '') AS broker, s.account_id, s.business_date, sum(s.rows) AS subjects
FROM seals s JOIN sealed_tables t USING (table_name)
LEFT JOIN (SELECT account_id, min(broker) AS broker FROM load_coverage GROUP BY 1) AS k USING (account_id)
WHERE NOT t.is_raw AND s.rows > 0 AND s.business_date BETWEEN %(from_date)s AND %(to_date)s
GROUP BY 2, 3
