-- The lease of a leader is renewed with its heartbeat, unless it has ended: then it must win the lead again.
INSERT INTO instance_metadata (instance_id, metadata) VALUES (%(instance_id)s, %(metadata)s)
ON CONFLICT (instance_id) DO UPDATE
SET last_heartbeat = clock_timestamp(), metadata = EXCLUDED.metadata,
    is_leader = instance_metadata.is_leader AND instance_metadata.lease_expires_at > clock_timestamp(),
    lease_expires_at = CASE WHEN instance_metadata.is_leader AND instance_metadata.lease_expires_at > clock_timestamp()
                            THEN clock_timestamp() + make_interval(secs => %(lease)s)
                            ELSE instance_metadata.lease_expires_at END
RETURNING *
