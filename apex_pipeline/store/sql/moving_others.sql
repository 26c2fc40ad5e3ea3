-- Other programs with a session in this database; a server tells at least whose they are.
SELECT usename::text AS role, coalesce(nullif(application_name, ''), 'a program') AS program, pid
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
ORDER BY pid
