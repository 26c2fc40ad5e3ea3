SELECT * FROM instance_metadata
WHERE last_heartbeat > clock_timestamp() - make_interval(secs => %(within)s)
ORDER BY last_heartbeat DESC
