-- Who asks leads, if nobody else's lease still runs. One asks at a time.
SELECT pg_advisory_xact_lock(hashtextextended('apex:lead', 0));
UPDATE instance_metadata SET is_leader = false
WHERE is_leader AND lease_expires_at <= clock_timestamp() AND instance_id <> %(instance_id)s;
INSERT INTO instance_metadata (instance_id, is_leader, lease_expires_at)
SELECT %(instance_id)s, true, clock_timestamp() + make_interval(secs => %(lease)s)
WHERE NOT EXISTS (SELECT FROM instance_metadata WHERE is_leader AND instance_id <> %(instance_id)s)
ON CONFLICT (instance_id) DO UPDATE
SET is_leader = true, lease_expires_at = EXCLUDED.lease_expires_at, last_heartbeat = clock_timestamp()
RETURNING *
