SELECT add_compression_policy(%(table)s::regclass, %(after)s::interval)
