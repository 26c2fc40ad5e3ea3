SELECT remove_compression_policy(%(table)s::regclass, if_exists => true)
