SELECT current_setting('server_version_num')::integer AS number,
       current_setting('server_encoding') AS encoding,
       EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') AS has_timescale
