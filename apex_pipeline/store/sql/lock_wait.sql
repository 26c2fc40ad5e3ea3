SET LOCAL lock_timeout = 0;
SELECT pg_advisory_lock(hashtextextended(%(name)s, 0))
