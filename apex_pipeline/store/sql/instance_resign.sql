UPDATE instance_metadata SET is_leader = false, lease_expires_at = clock_timestamp()
WHERE instance_id = %(instance_id)s AND is_leader
