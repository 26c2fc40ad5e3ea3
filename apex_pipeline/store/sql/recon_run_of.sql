-- The newest run, if it was made by this maker and covers these days.
SELECT run_id FROM (SELECT * FROM recon_runs WHERE ended_at IS NOT NULL ORDER BY run_id DESC LIMIT 1) AS newest
WHERE made_by = %(made_by)s AND from_date <= %(from_date)s AND to_date >= %(to_date)s
