INSERT INTO recon_runs (from_date, to_date, made_by, started_at)
VALUES (%(from_date)s, %(to_date)s, %(made_by)s, clock_timestamp()) RETURNING run_id
