-- The days of which statements told everything, as few spans as there are.
WITH told AS (
    SELECT account_id, range_agg(daterange(from_date, to_date, '[]')) AS days
    FROM load_coverage WHERE broker = %(broker)s AND account_id = ANY(%(accounts)s::text[]) AND data_type = 'ib_flex'
    GROUP BY 1
)
SELECT account_id, lower(span) AS from_date, upper(span) - 1 AS to_date FROM told, unnest(days) AS span
