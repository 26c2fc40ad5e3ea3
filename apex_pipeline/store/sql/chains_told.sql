-- Note what these families were told from; of those that are gone there is nothing to note.
WITH told AS (
    SELECT * FROM unnest(%(families)s::text[], %(told_from)s::text[]) AS t (family, told_from)
), gone AS (
    DELETE FROM told_families f USING told t
    WHERE f.account_id = %(account_id)s AND f.broker = %(broker)s AND f.underlying = t.family AND t.told_from IS NULL
)
INSERT INTO told_families (broker, account_id, underlying, told_from)
SELECT %(broker)s, %(account_id)s, family, told_from FROM told WHERE told_from IS NOT NULL
ON CONFLICT (account_id, underlying, broker) DO UPDATE SET told_from = EXCLUDED.told_from
