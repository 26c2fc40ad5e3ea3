SELECT symbol, multiplier FROM instruments WHERE symbol = ANY(%(symbols)s::text[])
