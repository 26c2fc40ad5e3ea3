-- Makes the results of these days those in `results_found`; equal rows are not written.
CREATE TEMPORARY TABLE IF NOT EXISTS results_found (LIKE recon_results) ON COMMIT DROP;
DELETE FROM recon_results r
WHERE r.business_date BETWEEN %(from_date)s AND %(to_date)s
  AND NOT EXISTS (SELECT FROM results_found f WHERE (f.check_name, f.broker, f.account_id, f.business_date)
                                                  = (r.check_name, r.broker, r.account_id, r.business_date));
INSERT INTO recon_results AS r SELECT * FROM results_found
ON CONFLICT (check_name, broker, account_id, business_date) DO UPDATE SET compared = EXCLUDED.compared
WHERE r.compared <> EXCLUDED.compared
