-- Makes a table a hypertable, its rows included. Nobody else can use the table meanwhile.
SELECT create_hypertable(%(table)s::regclass, %(column)s::name, chunk_time_interval => %(chunk_interval)s::interval,
                         create_default_indexes => false, if_not_exists => true, migrate_data => true)::text
