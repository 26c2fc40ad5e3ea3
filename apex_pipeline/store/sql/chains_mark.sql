-- The days on which something was realized of these families have to be compared again.
INSERT INTO dirty_days (stage, broker, account_id, business_date)
SELECT 'reconcile', %(broker)s, %(account_id)s, day
FROM (
    SELECT min(closed_on) AS first_day, max(closed_on) AS last_day FROM chain_gains
    WHERE account_id = %(account_id)s AND broker = %(broker)s AND underlying = ANY (%(families)s)
) AS span
CROSS JOIN LATERAL (VALUES (first_day), (last_day)) AS days (day)
WHERE day IS NOT NULL
ON CONFLICT DO NOTHING
