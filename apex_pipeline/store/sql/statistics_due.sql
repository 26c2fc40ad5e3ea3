-- Those of these tables that hold a tenth more or less rows than the planner believes, what this transaction wrote
-- included. Counts of changes do not tell: what a transaction writes counts again when it ends, analyzed or not.
SELECT c.relname AS name
FROM pg_class c
LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
LEFT JOIN pg_stat_xact_user_tables x ON x.relid = c.oid
CROSS JOIN LATERAL (
    SELECT greatest(c.reltuples, 0) AS believed, coalesce(s.n_live_tup, 0) + coalesce(x.n_tup_ins - x.n_tup_del, 0) AS held
) AS r
WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY (%(tables)s)
  AND abs(r.held - r.believed) > 50 + r.believed / 10
ORDER BY c.relname
