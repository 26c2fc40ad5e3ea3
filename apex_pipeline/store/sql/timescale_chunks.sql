-- Holds for chunks that begin from now on.
SELECT set_chunk_time_interval(%(table)s::regclass, %(chunk_interval)s::interval)
