-- What the last run changed.
SELECT c.changed_at, coalesce(c.from_state, 'NEW') || ' to ' || c.to_state AS change, b.check_name, b.account_id, b.business_date,
       b.subject, c.from_delta, c.to_delta, c.reason, c.break_uid
FROM recon_changes c JOIN recon_breaks b USING (break_uid)
WHERE c.run_id = (SELECT max(run_id) FROM recon_runs WHERE ended_at IS NOT NULL)
ORDER BY c.to_state = 'OPEN' DESC, b.severity = 'ERROR' DESC, b.business_date DESC, c.break_uid
