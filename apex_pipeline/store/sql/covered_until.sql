-- The day that every account of a broker has reached, in each of the data types that cover days.
SELECT min(reached) AS until FROM (
    SELECT max(to_date) AS reached FROM load_coverage WHERE broker = %(broker)s AND data_type = ANY(%(data_types)s) GROUP BY account_id, data_type
) AS scopes
