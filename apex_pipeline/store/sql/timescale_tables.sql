-- The tables of ours that are hypertables, and by which settings.
SELECT h.hypertable_name AS table_name, h.num_chunks AS chunks, h.compression_enabled AS is_compressed,
       d.time_interval::text AS chunk_interval,
       (SELECT j.config ->> 'compress_after' FROM timescaledb_information.jobs j
        WHERE j.proc_name = 'policy_compression' AND j.hypertable_schema = h.hypertable_schema
          AND j.hypertable_name = h.hypertable_name) AS compress_after,
       (SELECT j.config ->> 'drop_after' FROM timescaledb_information.jobs j
        WHERE j.proc_name = 'policy_retention' AND j.hypertable_schema = h.hypertable_schema
          AND j.hypertable_name = h.hypertable_name) AS drop_after
FROM timescaledb_information.hypertables h
JOIN timescaledb_information.dimensions d
  ON d.hypertable_schema = h.hypertable_schema AND d.hypertable_name = h.hypertable_name AND d.dimension_number = 1
WHERE h.hypertable_schema = current_schema() AND h.hypertable_name = ANY (%(tables)s::text[])
ORDER BY 1
