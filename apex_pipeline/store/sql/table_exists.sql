SELECT to_regclass(quote_ident(%(name)s)) IS NOT NULL
