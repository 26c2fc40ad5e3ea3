-- A completed run settles the interrupted ones before it: there is nothing left to continue.
UPDATE load_runs SET ended_at = clock_timestamp(), outcome = 'DONE'
WHERE broker = %(broker)s AND run_id < %(run_id)s AND outcome IS DISTINCT FROM 'DONE'
