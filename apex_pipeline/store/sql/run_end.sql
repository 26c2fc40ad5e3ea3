UPDATE load_runs SET ended_at = clock_timestamp(), outcome = %(outcome)s, refusal = %(refusal)s WHERE run_id = %(run_id)s
