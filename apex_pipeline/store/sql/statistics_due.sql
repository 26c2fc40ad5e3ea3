-- How many rows of these tables have changed since their statistics were made, this transaction's changes included, and
-- how many rows the planner believes there are.
SELECT c.relname AS name, greatest(c.reltuples, 0)::bigint AS believed,
    coalesce(s.n_mod_since_analyze, 0) + coalesce(x.n_tup_ins + x.n_tup_upd + x.n_tup_del, 0) AS changed
FROM pg_class c
LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
LEFT JOIN pg_stat_xact_user_tables x ON x.relid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY (%(tables)s)
ORDER BY c.relname
