SELECT * FROM instance_metadata WHERE is_leader AND lease_expires_at > clock_timestamp()
