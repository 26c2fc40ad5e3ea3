SELECT broker, kind, field, value, sum(records)::bigint AS records, min(business_date) AS first_day FROM payload_drift
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
