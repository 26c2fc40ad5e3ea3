INSERT INTO load_runs (broker, from_date, to_date, started_at)
VALUES (%(broker)s, %(from_date)s, %(to_date)s, clock_timestamp()) RETURNING run_id
