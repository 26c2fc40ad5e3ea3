-- Every account has an alias from the moment it first appears; returns all of them.
WITH appeared AS (
    SELECT broker, account_id, min(load_id) AS first_load FROM load_coverage GROUP BY 1, 2
), added AS (
    INSERT INTO account_aliases (broker, account_id, alias)
    SELECT a.broker, a.account_id,
           lower(a.broker) || '-' || (row_number() OVER (PARTITION BY a.broker ORDER BY a.first_load, a.account_id)
                                      + (SELECT count(*) FROM account_aliases k WHERE k.broker = a.broker))
    FROM appeared a
    WHERE NOT EXISTS (SELECT FROM account_aliases k WHERE (k.broker, k.account_id) = (a.broker, a.account_id))
    ON CONFLICT DO NOTHING RETURNING broker, account_id, alias
)
SELECT broker, account_id, alias FROM account_aliases UNION SELECT broker, account_id, alias FROM added ORDER BY 1, 3, 2
