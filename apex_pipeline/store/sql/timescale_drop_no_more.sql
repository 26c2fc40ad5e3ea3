SELECT remove_retention_policy(%(table)s::regclass, if_exists => true)
