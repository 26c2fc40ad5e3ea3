-- The clock that every age is measured by, the server, and how large this database is.
SELECT clock_timestamp() AS as_of, split_part(current_setting('server_version'), ' ', 1) AS server_version,
       pg_database_size(current_database()) AS size_bytes
