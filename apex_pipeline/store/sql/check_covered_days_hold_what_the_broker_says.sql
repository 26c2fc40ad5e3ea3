-- A10. Days that a load covered and whose rows contradict each other; they are asked again.
SELECT broker, account_id, data_type || ' ' || account_id AS subject, business_date, NULL::numeric AS expected,
       NULL::numeric AS actual, 'ERROR' AS severity, 'MISSING_B' AS cause,
       jsonb_build_object('data_type', data_type) AS evidence
FROM load_gaps
WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
ORDER BY 3, 4
