CREATE TEMPORARY TABLE results_found (LIKE recon_results) ON COMMIT DROP
