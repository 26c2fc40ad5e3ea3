-- The processes of an engine, the one that leads first; a lease that has ended leads no more. Those of before go on
-- standing here, so only the newest are told.
SELECT instance_id, is_leader AND lease_expires_at > clock_timestamp() AS leads, started_at, last_heartbeat,
       lease_expires_at, round(extract(epoch FROM clock_timestamp() - last_heartbeat), 3) AS age_seconds
FROM instance_metadata
ORDER BY leads DESC, last_heartbeat DESC, instance_id LIMIT 20
