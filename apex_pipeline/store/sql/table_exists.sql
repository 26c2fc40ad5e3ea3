SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass(quote_ident(%(name)s)) AND relkind IN ('r', 'p', 'v', 'm', 'f'))
