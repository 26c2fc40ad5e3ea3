-- Days on which something does not agree, or did not until the last run.
SELECT * FROM reconciliation_report
WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
  AND open_errors + open_warnings + explained + accepted + opened + closed > 0
ORDER BY open_errors DESC, open_warnings DESC, business_date DESC, broker, account_id
