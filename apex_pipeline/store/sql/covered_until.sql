-- The day that every account and data type of a broker has reached.
SELECT min(reached) AS until FROM (
    SELECT max(to_date) AS reached FROM load_coverage WHERE broker = %(broker)s GROUP BY account_id, data_type
) AS scopes
