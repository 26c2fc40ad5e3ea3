-- The markets in which accounts of a broker ever traded or held anything.
SELECT DISTINCT market FROM trades_norm WHERE broker = %(broker)s AND market IS NOT NULL
UNION
SELECT DISTINCT split_part(symbol, '.', 1) FROM broker_positions WHERE broker = %(broker)s
ORDER BY 1
