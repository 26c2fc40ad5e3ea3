SELECT add_retention_policy(%(table)s::regclass, %(after)s::interval)
