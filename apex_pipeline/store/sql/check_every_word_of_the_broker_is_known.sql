-- A06. What no rule knows, with one record that shows it; the records are kept and loaded.
SELECT broker, account_id, kind || ' ' || field || ' ' || value AS subject, business_date, 0::numeric AS expected,
       records::numeric AS actual, 'WARN' AS severity, 'SCHEMA_DRIFT' AS cause,
       jsonb_build_object('field', field, 'value', value, 'example', example_key) AS evidence
FROM payload_drift
WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
ORDER BY 3, 4
