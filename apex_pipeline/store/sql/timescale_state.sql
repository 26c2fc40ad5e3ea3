-- Which TimescaleDB the server could install and which this database has. The licence is known once it is installed;
-- what the server preloads is told to privileged roles only.
SELECT e.extversion AS installed,
       CASE WHEN e.extversion IS NULL
            THEN (SELECT a.default_version FROM pg_available_extensions a WHERE a.name = 'timescaledb') END AS available,
       current_setting('timescaledb.license', true) AS license,
       (SELECT s.setting FROM pg_settings s WHERE s.name = 'shared_preload_libraries') AS preloaded
FROM (SELECT 1) AS one LEFT JOIN pg_extension e ON e.extname = 'timescaledb'
