UPDATE recon_runs SET ended_at = clock_timestamp() WHERE run_id = %(run_id)s
