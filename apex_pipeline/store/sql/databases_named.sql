SELECT count(*) AS found FROM pg_database WHERE datname = %(name)s
